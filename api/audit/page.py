"""The audit pages: the trail with its filters, and the events of one correlation."""

from itertools import pairwise

import msgspec
from litestar import Controller, get
from litestar.params import FromPath
from litestar.response import Template

from api.access.rights import needs
from api.audit.trail import EVENTS_OF_A_TREE, CorrelationView, correlation_view
from api.audit.trail_reading import (
    TrailQuery,
    TrailQueryDependency,
    demand_audit,
    find_lines,
    trail_query,
)
from api.backend import Backend
from api.dataset.projects_page import address
from api.http.parameters import AtLeast, Cursor, HttpRequest, Served, position_in, provided
from api.pages.html import Page, render
from domain.access.roles import Right
from domain.audit.trail import Line
from domain.audit.trail_tree import Node
from domain.event import StreamName, registry
from projections.dataset.catalog import CATALOG, ProjectRow, find_project, find_view, list_projects
from projections.training.library_queries import VersionRow, find_model, find_version
from projections.training.models_library import MODELS_LIBRARY

LINES_A_PAGE = 50
PROJECTS_OFFERED = 200


class EntityFilter(msgspec.Struct, frozen=True):
    """An entity that the trail is filtered by; `without` is the address of the trail without it."""

    kind: str
    name: str
    page: str | None
    without: str


class TrailPage(Page, frozen=True, kw_only=True):
    """A page of the trail; `chosen` are its filters beyond the form's own fields, and `version` the
    one that it is filtered by, if there is one."""

    filters: TrailQuery
    lines: list[Line]
    projects: list[ProjectRow]
    chosen: list[EntityFilter]
    version: VersionRow | None
    first: bool
    following: str | None

    @property
    def events(self) -> list[str]:
        return sorted(registry())

    @property
    def narrowed(self) -> bool:
        return msgspec.structs.replace(self.filters, order="newest") != TrailQuery()

    def address(self, **others: str) -> str:
        return _address(self.filters, **others)

    def page_of(self, line: Line) -> str | None:
        """The page of the entity that a line is about."""
        return page_of(line)


class CorrelationPage(Page, frozen=True, kw_only=True):
    """The events that one request caused."""

    tree: CorrelationView

    @property
    def nested(self) -> list[tuple[Node, int]]:
        """Each node and its depth minus that of the next node; negative where the next is its
        child."""
        depths = [node.depth for node in self.tree.nodes]
        falls = [depth - following for depth, following in pairwise([*depths, 0])]
        return list(zip(self.tree.nodes, falls, strict=True))

    def page_of(self, line: Line) -> str | None:
        return page_of(line)


class AuditPages(Controller):
    """The audit pages."""

    dependencies = provided(filters=trail_query)

    @get("/audit", sync_to_thread=True, opt=needs(Right.AUDIT, anywhere=True))
    def trail(
        self,
        backend: Served,
        request: HttpRequest,
        filters: TrailQueryDependency,
        cursor: Cursor = None,
        at_least: AtLeast = None,
    ) -> Template:
        demand_audit(backend, request.user, filters)
        trail = find_lines(backend, filters, position_in(cursor), LINES_A_PAGE, at_least)
        with backend.reading(None, CATALOG) as (connection, _):
            audited = request.user.grants.projects(Right.AUDIT)
            projects = list_projects(connection, limit=PROJECTS_OFFERED, among=audited)
        chosen, version = _chosen(backend, filters)
        page = TrailPage(
            position=trail.position,
            api=f"/api/v1/audit/trail{_address(filters)}".removesuffix("?"),
            filters=filters,
            lines=trail.lines,
            projects=projects,
            chosen=chosen,
            version=version,
            first=cursor is None,
            following=_address(filters, cursor=str(trail.lines[-1].position))
            if trail.more
            else None,
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
    """The page of the entity whose stream a line is in, if it has one."""
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


def _address(query: TrailQuery, **others: str) -> str:
    filters = msgspec.structs.asdict(query) | others
    return address(filters | {"order": "" if query.newest else query.order})


def _chosen(backend: Backend, query: TrailQuery) -> tuple[list[EntityFilter], VersionRow | None]:
    filters: list[EntityFilter] = []
    version: VersionRow | None = None

    def add(kind: str, name: str | None, page: str | None) -> None:
        value = getattr(query, kind)
        filters.append(
            EntityFilter(kind, name or value, page, f"/audit{_address(query, **{kind: ''})}")
        )

    with backend.reading(None, CATALOG, MODELS_LIBRARY) as (connection, _):
        if query.project:
            project = find_project(connection, query.project)
            add("project", project.name if project else None, f"/projects/{query.project}")
        if query.view:
            view = find_view(connection, query.view)
            add("view", view.name if view else None, f"/views/{query.view}")
        if query.model:
            model = find_model(connection, query.model)
            at = f"/views/{model.view_id}#model-{query.model}" if model else None
            add("model", model.name if model else None, at)
        if query.version:
            version = find_version(connection, query.version)
            add("version", version.name if version else None, f"/versions/{query.version}")
    if query.stream:
        add("stream", None, None)
    return filters, version
