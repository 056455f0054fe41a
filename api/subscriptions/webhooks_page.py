"""The page of webhooks: their state and control."""

from litestar import Controller, get
from litestar.response import Template

from api.access.messages import ALL_PROJECTS
from api.access.rights import needs
from api.http.parameters import HttpRequest, Served
from api.pages.html import Page, render
from api.subscriptions.webhook_reading import WebhookRow, administered, grants_of, rows
from domain.access.roles import Right
from projections.dataset.catalog import CATALOG, find_project, list_projects

PROJECTS_OFFERED = 200


class WebhooksPage(Page, frozen=True, kw_only=True):
    """The webhooks page. `projects` are those that a new webhook may have, as values and labels of
    a form; `names` are names of the projects of existing webhooks."""

    webhooks: list[WebhookRow]
    projects: list[tuple[str, str]]
    names: dict[str, str]


class WebhookPages(Controller):
    """Webhooks."""

    @get("/webhooks", sync_to_thread=True, opt=needs(Right.ADMINISTER, anywhere=True))
    def webhooks(self, backend: Served, request: HttpRequest) -> Template:
        grants = grants_of(request)
        hooks, position = rows(backend, administered(backend, grants))
        among = grants.projects(Right.ADMINISTER)
        with backend.reading(None, CATALOG) as (connection, _):
            offered = list_projects(connection, limit=PROJECTS_OFFERED, among=among)
            project_ids = {hook.project_id for hook in hooks if hook.project_id is not None}
            named = [find_project(connection, project_id) for project_id in project_ids]
        everything = [("", ALL_PROJECTS)] if among is None else []
        page = WebhooksPage(
            position=position,
            api="/api/v1/webhooks",
            webhooks=hooks,
            projects=everything + [(row.project_id, row.name) for row in offered],
            names={row.project_id: row.name for row in named if row is not None},
        )
        return render("subscriptions/webhooks.html", page)
