"""Routes of the trail: filtered lines, their export as a file, and the events of a correlation."""

from typing import Annotated, Literal

import msgspec
from litestar import Controller, get
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream

from adapters.audit.trail_files import FORMATS
from api.access.rights import needs
from api.audit.trail_reading import (
    TrailQueryDependency,
    begin,
    demand_audit,
    every_line,
    find_lines,
    trail_query,
)
from api.backend import Backend
from api.http.parameters import AtLeast, Cursor, HttpRequest, Limit, Served, position_in, provided
from application.trail import lines_of
from domain.access.roles import Right
from domain.audit.trail import Line
from domain.audit.trail_tree import Node, tree_of
from domain.errors import NotFound

EVENTS_OF_A_TREE = 1000


class TrailView(msgspec.Struct, frozen=True):
    """A page of the trail as of `position`; `next` is the cursor of the next page."""

    items: list[Line]
    next: str | None
    position: int


class CorrelationView(msgspec.Struct, frozen=True):
    """The events that one request caused, parents before their children.

    `events` is the number of all events; the tree holds the first `shown` of them.
    """

    correlation_id: str
    events: int
    shown: int
    nodes: list[Node]
    position: int


class TrailController(Controller):
    """The audit trail: every event described in words."""

    path = "/audit"
    tags = ("Audit",)
    dependencies = provided(filters=trail_query)

    @get(
        "/trail",
        summary="The audit trail",
        sync_to_thread=True,
        opt=needs(Right.AUDIT, anywhere=True),
    )
    def list_trail(
        self,
        backend: Served,
        request: HttpRequest,
        filters: TrailQueryDependency,
        cursor: Cursor = None,
        limit: Limit = 100,
        at_least: AtLeast = None,
    ) -> TrailView:
        """Every event as a line: when, who, what, before and after, and why.

        `project`, `view`, `model` and `version` select the events that belong to them, directly or
        through their streams: for example a version's own events, and everything in a project. An
        auditor of single projects must give one of the four, or a `stream`.
        """
        demand_audit(backend, request.user, filters)
        page = find_lines(backend, filters, position_in(cursor), limit, at_least)
        following = str(page.lines[-1].position) if page.more else None
        return TrailView(page.lines, following, page.position)

    @get(
        "/trail/export",
        summary="Export the audit trail",
        media_type="application/jsonl",
        sync_to_thread=True,
        opt=needs(Right.AUDIT, anywhere=True),
    )
    def export_trail(
        self,
        backend: Served,
        request: HttpRequest,
        filters: TrailQueryDependency,
        form: Annotated[Literal["jsonl", "csv", "parquet"], QueryParameter(name="format")],
        at_least: AtLeast = None,
    ) -> Stream:
        """All matching lines, up to the current end of the log, streamed as JSON lines, CSV or
        Parquet."""
        demand_audit(backend, request.user, filters)
        position = begin(backend, filters, at_least)
        media_type, pieces = FORMATS[form]
        return Stream(
            pieces(every_line(backend, filters, position)),
            media_type=media_type,
            headers={
                "Content-Disposition": f'attachment; filename="trail-at-{position}.{form}"',
                "Stemma-Position": str(position),
            },
        )

    @get(
        "/correlations/{correlation_id:str}",
        summary="Request trace",
        sync_to_thread=True,
        opt=needs(Right.AUDIT),
    )
    def get_correlation(
        self,
        backend: Served,
        correlation_id: FromPath[str],
        limit: Annotated[int, QueryParameter(ge=1, le=10_000)] = EVENTS_OF_A_TREE,
    ) -> CorrelationView:
        """The request's events, its job, the job's reports and their events, from the log
        itself."""
        return correlation_view(backend, correlation_id, limit)


def correlation_view(backend: Backend, correlation_id: str, limit: int) -> CorrelationView:
    """The tree of a correlation's first `limit` events. Raises `NotFound`."""
    position = backend.store.head()
    events = backend.store.of_correlation(correlation_id, upto=position, limit=limit)
    if not events:
        raise NotFound(f"the log has no correlation {correlation_id!r}")
    nodes = tree_of(events, lines_of(backend.store, events))
    count = backend.store.count_correlation(correlation_id, upto=position)
    return CorrelationView(correlation_id, count, len(events), nodes, position)
