"""Routes of the trail: lines by filter, all of them as a file, and what a request set going."""

from typing import Annotated, Literal

import msgspec
from litestar import Controller, get
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream

from adapters.audit.trail_files import FORMATS
from api.access.rights import needs
from api.audit.trail_reading import AskedFor, asked_for, begin, demand_audit, every_line, find_lines
from api.backend import Backend
from api.http.parameters import AtLeast, Cursor, HttpRequest, Limit, Served, position_in, provided
from application.trail import lines_of
from domain.access.roles import Right
from domain.audit.trail import Line
from domain.audit.trail_tree import Node, tree_of
from domain.errors import NotFound

EVENTS_OF_A_TREE = 1000


class TrailView(msgspec.Struct, frozen=True):
    """A page of the trail, as the log was at `position`; `next` is the cursor of the next one."""

    items: list[Line]
    next: str | None
    position: int


class CorrelationView(msgspec.Struct, frozen=True):
    """What one request set going, a parent before its children.

    `events` are all that there are; the tree holds the first `shown` of them.
    """

    correlation_id: str
    events: int
    shown: int
    nodes: list[Node]
    position: int


class TrailController(Controller):
    """The audit trail: every event in words."""

    path = "/audit"
    tags = ("Audit",)
    dependencies = provided(asked=asked_for)

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
        asked: AskedFor,
        cursor: Cursor = None,
        limit: Limit = 100,
        at_least: AtLeast = None,
    ) -> TrailView:
        """Every event as a line: when, who, what, before and after, and why.

        `project`, `view`, `model` and `version` find what belongs to them, directly or by its
        stream: of a version its own events and the number its model gave it, of a project
        everything in it. Who audits single projects names one of the four, or a `stream`.
        """
        demand_audit(backend, request.user, asked)
        found = find_lines(backend, asked, position_in(cursor), limit, at_least)
        following = str(found.lines[-1].position) if found.more else None
        return TrailView(found.lines, following, found.position)

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
        asked: AskedFor,
        form: Annotated[Literal["jsonl", "csv", "parquet"], QueryParameter(name="format")],
        at_least: AtLeast = None,
    ) -> Stream:
        """All lines that match, as the log is now: JSON lines, CSV or Parquet, as a stream."""
        demand_audit(backend, request.user, asked)
        position = begin(backend, asked, at_least)
        media_type, pieces = FORMATS[form]
        return Stream(
            pieces(every_line(backend, asked, position)),
            media_type=media_type,
            headers={
                "Content-Disposition": f'attachment; filename="trail-at-{position}.{form}"',
                "Stemma-Position": str(position),
            },
        )

    @get(
        "/correlations/{correlation_id:str}",
        summary="What a request set going",
        sync_to_thread=True,
        opt=needs(Right.AUDIT),
    )
    def get_correlation(
        self,
        backend: Served,
        correlation_id: FromPath[str],
        limit: Annotated[int, QueryParameter(ge=1, le=10_000)] = EVENTS_OF_A_TREE,
    ) -> CorrelationView:
        """Request, events, job, reports and their events, from the log itself."""
        return correlation_view(backend, correlation_id, limit)


def correlation_view(backend: Backend, correlation_id: str, limit: int) -> CorrelationView:
    """Raises `NotFound`."""
    position = backend.store.head()
    events = backend.store.of_correlation(correlation_id, upto=position, limit=limit)
    if not events:
        raise NotFound(f"the log has no correlation {correlation_id!r}")
    nodes = tree_of(events, lines_of(backend.store, events))
    count = backend.store.count_correlation(correlation_id, upto=position)
    return CorrelationView(correlation_id, count, len(events), nodes, position)
