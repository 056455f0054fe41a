"""The pages of the audit: the trail with its filters, and what one request set going."""

from itertools import pairwise

import msgspec
from litestar import Controller, get
from litestar.params import FromPath
from litestar.response import Template

from api.access.rights import needs
from api.audit.trail import EVENTS_OF_A_TREE, CorrelationView, correlation_view
from api.audit.trail_reading import Asked, AskedFor, asked_for, demand_audit, find_lines
from api.backend import Backend
from api.dataset.projects_page import address
from api.http.parameters import AtLeast, Cursor, HttpRequest, Served, position_in, provided
from api.pages.html import Page, render
from domain.access.roles import Right
from domain.audit.trail import Line
from domain.audit.trail_tree import Node
from domain.event import StreamName, registry
from projections.dataset.catalog import CATALOG, ProjectRow, find_project, find_view, list_projects
from projections.training.library_queries import find_model, find_version
from projections.training.models_library import MODELS_LIBRARY

LINES_A_PAGE = 50
PROJECTS_OFFERED = 200


class Chosen(msgspec.Struct, frozen=True):
    """A thing that the trail is narrowed to: its name, and where its page and the rest are."""

    kind: str
    name: str
    page: str | None
    without: str


class TrailPage(Page, frozen=True, kw_only=True):
    """A page of the trail; `chosen` is what it is narrowed to beyond the form's own fields."""

    asked: Asked
    lines: list[Line]
    projects: list[ProjectRow]
    chosen: list[Chosen]
    first: bool
    following: str | None

    @property
    def events(self) -> list[str]:
        return sorted(registry())

    @property
    def narrowed(self) -> bool:
        asked = msgspec.structs.replace(self.asked, order="newest")
        return asked != Asked()

    @property
    def more_open(self) -> bool:
        asked = self.asked
        return any((asked.stream, asked.view, asked.model, asked.version))

    def address(self, **others: str) -> str:
        return _address(self.asked, **others)

    def page_of(self, line: Line) -> str | None:
        """The page of the thing that a line is about."""
        return page_of(line)


class CorrelationPage(Page, frozen=True, kw_only=True):
    """What one request set going."""

    tree: CorrelationView

    @property
    def nested(self) -> list[tuple[Node, int]]:
        """Each node, and by how many levels the next one is less deep; below 0 it is its child."""
        depths = [node.depth for node in self.tree.nodes]
        falls = [depth - following for depth, following in pairwise([*depths, 0])]
        return list(zip(self.tree.nodes, falls, strict=True))

    def page_of(self, line: Line) -> str | None:
        return page_of(line)


class AuditPages(Controller):
    """The audit."""

    dependencies = provided(asked=asked_for)

    @get("/audit", sync_to_thread=True, opt=needs(Right.AUDIT, anywhere=True))
    def trail(
        self,
        backend: Served,
        request: HttpRequest,
        asked: AskedFor,
        cursor: Cursor = None,
        at_least: AtLeast = None,
    ) -> Template:
        demand_audit(backend, request.user, asked)
        found = find_lines(backend, asked, position_in(cursor), LINES_A_PAGE, at_least)
        with backend.reading(None, CATALOG) as (connection, _):
            audited = request.user.grants.projects(Right.AUDIT)
            projects = list_projects(connection, limit=PROJECTS_OFFERED, among=audited)
        page = TrailPage(
            position=found.position,
            api=f"/api/v1/audit/trail{_address(asked)}".removesuffix("?"),
            asked=asked,
            lines=found.lines,
            projects=projects,
            chosen=_chosen(backend, asked),
            first=cursor is None,
            following=_address(asked, cursor=str(found.lines[-1].position)) if found.more else None,
        )
        return render("audit/audit.html", page)

    @get("/audit/correlations/{correlation_id:str}", sync_to_thread=True, opt=needs(Right.AUDIT))
    def correlation(self, backend: Served, correlation_id: FromPath[str]) -> Template:
        tree = correlation_view(backend, correlation_id, EVENTS_OF_A_TREE)
        page = CorrelationPage(
            position=tree.position,
            api=f"/api/v1/audit/correlations/{correlation_id}",
            tree=tree,
        )
        return render("audit/correlation.html", page)


def page_of(line: Line) -> str | None:
    """The page of the thing whose history a line is in, if it has one."""
    kind, key = StreamName.parse(line.stream)
    if kind in {"project", "view", "version"}:
        return f"/{kind}s/{key}"
    if kind == "model" and line.view_id:
        return f"/views/{line.view_id}#model-{key}"
    if kind == "image" and line.view_id:
        return f"/views/{line.view_id}/annotate?image={key}"
    if kind == "import" and line.project_id:
        return f"/projects/{line.project_id}/imports#import-{key}"
    return f"/projects/{line.project_id}" if line.project_id else None


def _address(asked: Asked, **others: str) -> str:
    told = msgspec.structs.asdict(asked) | others
    return address(told | {"order": "" if asked.newest else asked.order})


def _chosen(backend: Backend, asked: Asked) -> list[Chosen]:
    found: list[Chosen] = []

    def add(kind: str, name: str | None, page: str | None) -> None:
        value = getattr(asked, kind)
        found.append(Chosen(kind, name or value, page, f"/audit{_address(asked, **{kind: ''})}"))

    with backend.reading(None, CATALOG, MODELS_LIBRARY) as (connection, _):
        if asked.project:
            project = find_project(connection, asked.project)
            add("project", project.name if project else None, f"/projects/{asked.project}")
        if asked.view:
            view = find_view(connection, asked.view)
            add("view", view.name if view else None, f"/views/{asked.view}")
        if asked.model:
            model = find_model(connection, asked.model)
            at = f"/views/{model.view_id}#model-{asked.model}" if model else None
            add("model", model.name if model else None, at)
        if asked.version:
            version = find_version(connection, asked.version)
            add("version", version.name if version else None, f"/versions/{asked.version}")
    if asked.stream:
        add("stream", None, None)
    return found
