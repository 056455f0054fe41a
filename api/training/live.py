"""A version's progress and metrics as they happen, by server-sent events.

Each event's id is a position of the log. A client that comes back with `Last-Event-ID` gets the
state as it is now, and the metrics since that position: nothing twice, nothing left out. At each
beat of the feed of all events the caller's rights are checked again.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import starmap

from litestar import Controller, get
from litestar.params import FromPath
from litestar.response import ServerSentEvent, ServerSentEventMessage

from api.access.guard import who_still
from api.access.limits import hold_open
from api.access.rights import needs
from api.backend import Backend
from api.dataset.file_names import with_file_names
from api.http.live import either, message
from api.http.parameters import HttpRequest, Served
from api.training.schemas import Points
from api.training.waiting import waiting_for
from domain.access.roles import Right
from domain.aggregates import VERSION
from domain.errors import Invalid, NotFound
from domain.training.version import ENDED, QUEUED
from domain.training.waiting import Waiting
from projections.flip_book.flip_book import (
    FLIP_BOOK,
    RecordedEpoch,
    epochs_of,
    newer_epochs_query,
)
from projections.training.metric_history import (
    METRIC_HISTORY,
    Series,
    newer_query,
    series_in,
    series_of,
)
from projections.training.version_progress import (
    VERSION_PROGRESS,
    ProgressRow,
    find_progress,
    progress_in,
    progress_query,
    trainings_before,
)

SHOWN = (VERSION_PROGRESS, METRIC_HISTORY, FLIP_BOOK)
"""The read models of a version's live progress."""

LOOK_SECONDS = 2.0
"""How often a queued version's workers are looked for: their coming and going is no event."""

Look = tuple[ProgressRow | None, list[Series], list[RecordedEpoch], int | None, int]


class LiveController(Controller):
    """Live progress."""

    tags = ("Versions",)

    @get(
        "/versions/{version_id:str}/events",
        summary="Follow a version live",
        media_type="text/event-stream",
        opt=needs(Right.READ, of="version_id"),
    )
    async def follow_version(
        self,
        backend: Served,
        request: HttpRequest,
        version_id: FromPath[str],
        points: Points = None,
    ) -> ServerSentEvent:
        """Events `progress` (the whole state), `metrics` (new values), `flip_book` (newly recorded
        epochs), `waiting` (what a queued version waits for) and `end`.

        It starts with the current state; a client that reconnects sends the last received id in
        `Last-Event-ID`. With `points`, the first metrics are thinned as by `GET …/metrics`. It also
        ends once the caller may no longer read the version.
        """
        seen = request.headers.get("Last-Event-ID", "0")
        if not seen.isdecimal() or len(seen) > 18:
            raise Invalid("Last-Event-ID must be the id of a received event", field="Last-Event-ID")
        hold_open(request)
        await backend.feed.begin(int(seen), "Last-Event-ID")
        await asyncio.to_thread(_wait_until_shown, backend, version_id)
        stream = VERSION.stream(version_id)
        project = await asyncio.to_thread(backend.scopes.project_of, stream)

        async def may_read() -> bool:
            caller = await who_still(request)
            return caller is not None and caller.grants.may(Right.READ, project)

        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        events = _events(backend, version_id, int(seen), points, may_read)
        return ServerSentEvent(events, headers=headers)


async def _events(
    backend: Backend,
    version_id: str,
    seen: int,
    points: int | None,
    may_read: Callable[[], Awaitable[bool]],
) -> AsyncIterator[ServerSentEventMessage]:
    shown: ProgressRow | None = None
    waiting: Waiting | None = None
    beat = backend.feed.beat
    with backend.news.listening(*SHOWN) as changed:
        while True:
            changed.clear()
            if beat.is_set():
                beat = backend.feed.beat
                if not await may_read():
                    return
                yield ServerSentEventMessage(comment="still here", data=None)
            look = _look if shown is None or shown.status == QUEUED else _look_on
            looked = await asyncio.to_thread(look, backend, version_id, seen, points)
            progress, series, epochs, before, position = looked
            assert progress is not None
            await backend.feed.passed(position)
            if beat.is_set():
                continue
            if series:
                yield message("metrics", series, position)
            if epochs:
                yield message("flip_book", epochs, position)
            if progress != shown:
                yield message("progress", progress, position)
                shown = progress
            was, waiting = waiting, await waiting_for(backend, version_id, before)
            if waiting not in (None, was):
                yield message("waiting", waiting, position)
            seen = max(seen, position)
            # Not before the others have come as far as the progress.
            if progress.status in ENDED and position >= progress.position:
                yield message("end", progress.status, position)
                return
            await either(changed, beat, seconds=None if waiting is None else LOOK_SECONDS)


def _wait_until_shown(backend: Backend, version_id: str) -> None:
    """The log has the version, but a read model may not have it yet. Raises `NotFound`."""
    with backend.reading(None, VERSION_PROGRESS) as (connection, _):
        if find_progress(connection, version_id) is not None:
            return
    with backend.reading(backend.store.head(), VERSION_PROGRESS) as (connection, _):
        if find_progress(connection, version_id) is None:
            raise NotFound("version not found")


def _look(backend: Backend, version_id: str, seen: int, points: int | None) -> Look:
    """One snapshot: the progress, the metrics and the recorded epochs after `seen`, how many
    trainings are before it if it is queued, and the position of all."""
    with backend.reading(None, *SHOWN) as (connection, position):
        progress = find_progress(connection, version_id)
        if progress is not None and points is not None and not seen:
            series = backend.charts.series_of(connection, progress, points, upto=position)
        else:
            series = series_of(connection, version_id, after=seen, upto=position)
        epochs = epochs_of(connection, version_id, after=seen, upto=position)
        queued = progress is not None and progress.status == QUEUED
        before = trainings_before(connection, version_id) if queued else None
    return _named(backend, progress), series, epochs, before, position


def _look_on(backend: Backend, version_id: str, seen: int, points: int | None) -> Look:
    """The same for a version that has left the queue, in one round trip."""
    queries = (
        progress_query([version_id]),
        newer_query(version_id, seen),
        newer_epochs_query(version_id, seen),
    )
    (of_progress, of_series, of_epochs), position = backend.look_up_each(None, queries, *SHOWN)
    progress = progress_in(of_progress).get(version_id)
    if progress is not None and progress.status == QUEUED:  # once more: it is retried
        return _look(backend, version_id, seen, points)
    epochs = [epoch for epoch in starmap(RecordedEpoch, of_epochs) if epoch.position <= position]
    return _named(backend, progress), series_in(of_series, position), epochs, None, position


def _named(backend: Backend, progress: ProgressRow | None) -> ProgressRow | None:
    return None if progress is None else with_file_names(backend, [progress])[0]
