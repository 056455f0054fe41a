"""The page of webhooks: who is told of events, how that goes, and what can be done about it."""

from litestar import Controller, get
from litestar.response import Template

from api.access.rights import needs
from api.http.parameters import HttpRequest, Served
from api.pages.html import Page, render
from api.subscriptions.webhook_reading import WebhookRow, administered, grants_of, rows
from domain.access.roles import Right
from projections.dataset.catalog import CATALOG, find_project, list_projects

PROJECTS_OFFERED = 200


class WebhooksPage(Page, frozen=True, kw_only=True):
    """`projects` are those that a new webhook may tell of, as values and labels of a form; `names`
    those of the projects that webhooks tell of already."""

    webhooks: list[WebhookRow]
    projects: list[tuple[str, str]]
    names: dict[str, str]


class WebhookPages(Controller):
    """Webhooks."""

    @get("/webhooks", sync_to_thread=True, opt=needs(Right.ADMINISTER, anywhere=True))
    def webhooks(self, backend: Served, request: HttpRequest) -> Template:
        grants = grants_of(request)
        found, position = rows(backend, administered(backend, grants))
        among = grants.projects(Right.ADMINISTER)
        with backend.reading(None, CATALOG) as (connection, _):
            offered = list_projects(connection, limit=PROJECTS_OFFERED, among=among)
            told = {one.project_id for one in found if one.project_id is not None}
            known = [find_project(connection, project_id) for project_id in told]
        everything = [("", "all projects")] if among is None else []
        page = WebhooksPage(
            position=position,
            api="/api/v1/webhooks",
            webhooks=found,
            projects=everything + [(one.project_id, one.name) for one in offered],
            names={one.project_id: one.name for one in known if one is not None},
        )
        return render("subscriptions/webhooks.html", page)
