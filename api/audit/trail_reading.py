"""What every way of seeing the trail shares: its filters, and lines found page by page."""

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


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What part of the trail is asked for, as the address says it; empty does not restrict."""

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
    def wanted(self) -> TrailFilter:
        """Raises `Invalid` for an event or a time that is none."""
        if self.event and self.event not in registry():
            raise Invalid(
                f"there is no event {self.event!r}; they are {', '.join(sorted(registry()))}",
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


def asked_for(
    actor: Annotated[str, QueryParameter(description="Who, as on record")] = "",
    since: Annotated[
        str, QueryParameter(description="From this time on: ISO 8601, UTC unless it says otherwise")
    ] = "",
    until: Annotated[str, QueryParameter(description="Before this time")] = "",
    stream: Annotated[
        str, QueryParameter(description="The history of one thing, such as `image-…`")
    ] = "",
    event: Annotated[str, QueryParameter(description="An event's name")] = "",
    project: Annotated[str, QueryParameter(description="All of a project, by its id")] = "",
    view: Annotated[str, QueryParameter(description="All of a view, by its id")] = "",
    model: Annotated[str, QueryParameter(description="All of a model, by its id")] = "",
    version: Annotated[str, QueryParameter(description="All of a version, by its id")] = "",
    order: FromQuery[Order] = "newest",
) -> Asked:
    return Asked(
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


AskedFor = NamedDependency[Asked]


def demand_audit(backend: Backend, caller: Caller, asked: Asked) -> None:
    """Ask for the right to audit what is asked for. Raises `Forbidden` and `NotFound`."""
    if caller.grants.may(Right.AUDIT):
        return
    streams = [str(StreamName(kind, value)) for kind in _IDS if (value := getattr(asked, kind))]
    streams += [asked.stream] if asked.stream else []
    if not streams:
        raise Forbidden("you lack the right audit in all projects: ask for one, by its `project`")
    demand(backend, caller, Right.AUDIT, *streams)


class Found(msgspec.Struct, frozen=True):
    """A page of the trail: `more` are there behind its last line."""

    lines: list[Line]
    more: bool
    position: int


def find_lines(
    backend: Backend, asked: Asked, cursor: int | None, limit: int, at_least: int | None = None
) -> Found:
    """The page behind the position `cursor`. Raises `Invalid`."""
    position = begin(backend, asked, at_least)
    events = list(islice(_events(backend, asked, cursor, position, limit + 1), limit + 1))
    return Found(lines_of(backend.store, events[:limit]), len(events) > limit, position)


def every_line(backend: Backend, asked: Asked, position: int) -> Iterator[Line]:
    """All lines up to a position, a page of them in memory at a time."""
    events = _events(backend, asked, None, position, PAGE)
    while page := list(islice(events, PAGE)):
        yield from lines_of(backend.store, page)


def begin(backend: Backend, asked: Asked, at_least: int | None = None) -> int:
    """Check what is asked for; how far along the log the answer will be. Raises `Invalid`."""
    _ = asked.wanted  # refused now, and not when an answer has begun to stream
    with backend.reading(at_least, TRAIL) as (connection, position):
        for kind in _IDS:
            value = getattr(asked, kind)
            if value and not is_known(connection, kind, value):
                raise Invalid(f"the log has no {kind} {value!r}", field=kind)
    return position


def _events(
    backend: Backend, asked: Asked, cursor: int | None, position: int, size: int
) -> Iterator[Recorded]:
    """The events asked for, in order, read `size` at a time."""
    after, before = 0, position + 1
    if cursor is not None:
        after, before = (after, min(before, cursor)) if asked.newest else (cursor, before)
    wanted = asked.wanted
    steps = _of_stream if asked.stream else _by_index
    for events in steps(backend, asked, after, before, size):
        yield from (one for one in events if wanted.covers(one.metadata.occurred_at))


def _by_index(
    backend: Backend, asked: Asked, after: int, before: int, size: int
) -> Iterator[list[Recorded]]:
    done = False
    while not done and after + 1 < before:
        with backend.engine.connect() as connection:
            found, done = scan(connection, asked.wanted, after, before, newest=asked.newest)
        for start in range(0, len(found), size):
            events = backend.store.at(found[start : start + size])
            yield events[::-1] if asked.newest else events
        if found:
            after, before = (after, found[-1]) if asked.newest else (found[-1], before)


def _of_stream(
    backend: Backend, asked: Asked, after: int, before: int, size: int
) -> Iterator[list[Recorded]]:
    wanted = asked.wanted
    while events := backend.store.of_stream(
        asked.stream, after=after, before=before, limit=size, newest=asked.newest
    ):
        with backend.engine.connect() as connection:
            held = matching(connection, wanted, [one.position for one in events])
        yield [one for one in events if one.position in held]
        last = events[-1].position
        after, before = (after, last) if asked.newest else (last, before)


def _time(told: str, field: str) -> datetime | None:
    if not told:
        return None
    try:
        at = datetime.fromisoformat(told)
    except ValueError:
        raise Invalid(
            f"{field} is {told!r}; give a date or a time, such as 2026-03-04T05:06:07Z",
            field=field,
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
