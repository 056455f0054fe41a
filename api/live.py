"""A version's progress and metrics as they happen, by server-sent events.

Each event's id is a position of the log. A client that comes back with `Last-Event-ID` gets the
state as it is now, and the metrics since that position: nothing twice, nothing left out.
"""

import asyncio
from collections.abc import AsyncIterator

import msgspec
from litestar import Controller, get
from litestar.params import FromPath
from litestar.response import ServerSentEvent, ServerSentEventMessage

from api.backend import Backend
from api.parameters import HttpRequest, Served
from api.rights import needs
from domain.errors import Invalid, NotFound
from domain.roles import Right
from domain.version import ENDED
from projections.metric_history import Series, series_of
from projections.version_progress import ProgressRow, find_progress

KEEP_ALIVE_SECONDS = 15.0

Look = tuple[ProgressRow | None, list[Series], int]


class LiveController(Controller):
    """Live progress."""

    tags = ("Versions",)

    @get(
        "/versions/{version_id:str}/events",
        summary="Follow a version live",
        media_type="text/event-stream",
        opt=needs(Right.READ, of="version_id"),
    )
    async def follow(
        self, backend: Served, request: HttpRequest, version_id: FromPath[str]
    ) -> ServerSentEvent:
        """Events `progress` (all of it), `metrics` (what is new) and `end`.

        Begins with what there is; a client that comes back names the last id it has seen in
        `Last-Event-ID`.
        """
        seen = request.headers.get("Last-Event-ID", "0")
        if not seen.isdecimal() or len(seen) > 18:
            raise Invalid("Last-Event-ID is the id of an event seen", field="Last-Event-ID")
        first = await asyncio.to_thread(_look, backend, version_id, int(seen))
        if first[0] is None:
            raise NotFound("there is no such version")
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return ServerSentEvent(_events(backend, version_id, int(seen)), headers=headers)


async def _events(
    backend: Backend, version_id: str, seen: int
) -> AsyncIterator[ServerSentEventMessage]:
    shown: ProgressRow | None = None
    with backend.news.listening() as changed:
        while True:
            changed.clear()
            progress, series, position = await asyncio.to_thread(_look, backend, version_id, seen)
            assert progress is not None
            if series:
                yield _message("metrics", series, position)
            if progress != shown:
                yield _message("progress", progress, position)
                shown = progress
            seen = max(seen, position)
            # Not before the metrics have come as far as the progress.
            if progress.status in ENDED and position >= progress.position:
                yield _message("end", progress.status, position)
                return
            try:
                await asyncio.wait_for(changed.wait(), KEEP_ALIVE_SECONDS)
            except TimeoutError:
                yield ServerSentEventMessage(comment="still here", data=None)


def _look(backend: Backend, version_id: str, seen: int) -> Look:
    """One snapshot: the progress, the metrics after `seen`, and the position of both."""
    with backend.reading() as (connection, position):
        series = series_of(connection, version_id, after=seen, upto=position)
        return find_progress(connection, version_id), series, position


def _message(event: str, content: object, position: int) -> ServerSentEventMessage:
    return ServerSentEventMessage(
        data=msgspec.json.encode(content).decode(), event=event, id=str(position)
    )
