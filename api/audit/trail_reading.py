"""Queries of the trail, shared by its routes and pages: filters and pagination."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated

import msgspec
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from api.access.guard import demand
from api.backend import Backend
from api.http.schemas import Order
from application.access.access import Caller
from application.log.store import PAGE
from application.trail import lines_of
from domain.access.roles import Right
from domain.audit.places import MODEL, PROJECT, VERSION, VIEW
from domain.audit.trail import Line
from domain.errors import Forbidden, Invalid
from domain.event import Recorded, StreamName, registry
from projections.audit.trail import TRAIL
from projections.audit.trail_scans import TrailFilter, is_known, matching, scan

_IDS = (PROJECT, VIEW, MODEL, VERSION)


class TrailQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The filters of a request for the trail, as in its query string; empty does not restrict."""

    actor: str = ""
    since: str = ""
    until: str = ""
    stream: str = ""
    event: str = ""
    project: str = ""
    view: str = ""
    model: str = ""
    version: str = ""
    order: Order = "newest"

    @property
    def newest(self) -> bool:
        return self.order == "newest"

    @property
    def filter(self) -> TrailFilter:
        """Raises `Invalid` for an unknown event or a malformed time."""
        if self.event and self.event not in registry():
            raise Invalid(
                f"event {self.event!r} not found; they are {', '.join(sorted(registry()))}",
                field="event",
            )
        return TrailFilter(
            actor=self.actor or None,
            event=self.event or None,
            project=self.project or None,
            view=self.view or None,
            model=self.model or None,
            version=self.version or None,
            since=_time(self.since, "since"),
            until=_time(self.until, "until"),
        )


def trail_query(
    actor: Annotated[str, QueryParameter(description="The actor, as recorded")] = "",
    since: Annotated[
        str,
        QueryParameter(description="From this time on: ISO 8601, in UTC unless it has an offset"),
    ] = "",
    until: Annotated[str, QueryParameter(description="Before this time")] = "",
    stream: Annotated[
        str, QueryParameter(description="The history of one entity, such as `image-…`")
    ] = "",
    event: Annotated[str, QueryParameter(description="An event's name")] = "",
    project: Annotated[str, QueryParameter(description="Events of a project, by its id")] = "",
    view: Annotated[str, QueryParameter(description="Events of a view, by its id")] = "",
    model: Annotated[str, QueryParameter(description="Events of a model, by its id")] = "",
    version: Annotated[str, QueryParameter(description="Events of a version, by its id")] = "",
    order: FromQuery[Order] = "newest",
) -> TrailQuery:
    return TrailQuery(
        actor=actor,
        since=since,
        until=until,
        stream=stream,
        event=event,
        project=project,
        view=view,
        model=model,
        version=version,
        order=order,
    )


TrailQueryDependency = NamedDependency[TrailQuery]


def demand_audit(backend: Backend, caller: Caller, query: TrailQuery) -> None:
    """Require the right to audit what the query selects. Raises `Forbidden` and `NotFound`."""
    if caller.grants.may(Right.AUDIT):
        return
    streams = [str(StreamName(kind, value)) for kind in _IDS if (value := getattr(query, kind))]
    streams += [query.stream] if query.stream else []
    if not streams:
        raise Forbidden(
            "you lack the right audit in all projects: filter by one project, with `project`"
        )
    demand(backend, caller, Right.AUDIT, *streams)


class TrailLines(msgspec.Struct, frozen=True):
    """A page of the trail; `more` says that lines follow its last one."""

    lines: list[Line]
    more: bool
    position: int


def find_lines(
    backend: Backend, query: TrailQuery, cursor: int | None, limit: int, at_least: int | None = None
) -> TrailLines:
    """The page after the position `cursor`. Raises `Invalid`."""
    position = begin(backend, query, at_least)
    events = list(islice(_events(backend, query, cursor, position, limit + 1), limit + 1))
    return TrailLines(lines_of(backend.store, events[:limit]), len(events) > limit, position)


def every_line(backend: Backend, query: TrailQuery, position: int) -> Iterator[Line]:
    """All lines up to a position, with one page of them in memory at a time."""
    events = _events(backend, query, None, position, PAGE)
    while page := list(islice(events, PAGE)):
        yield from lines_of(backend.store, page)


def begin(backend: Backend, query: TrailQuery, at_least: int | None = None) -> int:
    """Check the query and return the position that the answer reflects. Raises `Invalid`."""
    _ = query.filter  # raises before the answer begins to stream
    with backend.reading(at_least, TRAIL) as (connection, position):
        for kind in _IDS:
            value = getattr(query, kind)
            if value and not is_known(connection, kind, value):
                raise Invalid(f"the log has no {kind} {value!r}", field=kind)
    return position


def _events(
    backend: Backend, query: TrailQuery, cursor: int | None, position: int, size: int
) -> Iterator[Recorded]:
    """The events that match, in order, read `size` at a time."""
    after, before = 0, position + 1
    if cursor is not None:
        after, before = (after, min(before, cursor)) if query.newest else (cursor, before)
    trail_filter = query.filter
    steps = _of_stream if query.stream else _by_index
    for events in steps(backend, query, after, before, size):
        yield from (event for event in events if trail_filter.covers(event.metadata.occurred_at))


def _by_index(
    backend: Backend, query: TrailQuery, after: int, before: int, size: int
) -> Iterator[list[Recorded]]:
    done = False
    while not done and after + 1 < before:
        with backend.engine.connect() as connection:
            positions, done = scan(connection, query.filter, after, before, newest=query.newest)
        for start in range(0, len(positions), size):
            events = backend.store.at(positions[start : start + size])
            yield events[::-1] if query.newest else events
        if positions:
            after, before = (after, positions[-1]) if query.newest else (positions[-1], before)


def _of_stream(
    backend: Backend, query: TrailQuery, after: int, before: int, size: int
) -> Iterator[list[Recorded]]:
    trail_filter = query.filter
    while events := backend.store.of_stream(
        query.stream, after=after, before=before, limit=size, newest=query.newest
    ):
        with backend.engine.connect() as connection:
            matches = matching(connection, trail_filter, [event.position for event in events])
        yield [event for event in events if event.position in matches]
        last = events[-1].position
        after, before = (after, last) if query.newest else (last, before)


def _time(text: str, field: str) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(
            f"{field} is {text!r}; give a date or a time, such as 2026-03-04T05:06:07Z",
            field=field,
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
