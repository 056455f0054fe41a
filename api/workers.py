"""Routes about those who train: which workers there are, what waits for them, what they are at."""

import asyncio

import msgspec
from litestar import Controller, get

from adapters.crew import Crew
from api.backend import Backend
from api.parameters import Cursor, Limit, Served, position_in
from api.rights import needs
from domain.messages import Presence
from domain.roles import Right
from projections.library_queries import VersionRow, list_unfinished
from projections.version_progress import ProgressRow, progress_by_version


class UnfinishedVersion(msgspec.Struct, frozen=True):
    """A version that is queued or in work, and how far it is."""

    version: VersionRow
    progress: ProgressRow


class WorkersView(msgspec.Struct, frozen=True):
    """The workers there are, each with the version it trains since when, and what is unfinished.

    `waiting` and `in_work` count jobs. A version whose images are not frozen yet has none, and a
    cancelled one may have one until a worker drops it. `next` is for more `versions`.
    """

    workers: list[Presence]
    waiting: int
    in_work: int
    versions: list[UnfinishedVersion]
    next: str | None
    position: int


class Unfinished(msgspec.Struct, frozen=True):
    """A page of the versions that have not ended, oldest first."""

    items: list[UnfinishedVersion]
    next: str | None
    position: int


class WorkerController(Controller):
    """Workers."""

    tags = ("Workers",)

    @get("/workers", summary="Workers and their queue", opt=needs(Right.READ, anywhere=True))
    async def list_workers(
        self, backend: Served, cursor: Cursor = None, limit: Limit = 100
    ) -> WorkersView:
        """Versions are in the order of their creation. 503 while NATS does not answer."""
        crew: Crew = await backend.lookout.crew()
        page = await asyncio.to_thread(unfinished, backend, position_in(cursor), limit)
        return WorkersView(
            crew.workers, crew.waiting, crew.in_work, page.items, page.next, page.position
        )


def unfinished(backend: Backend, after: int | None, limit: int) -> Unfinished:
    with backend.reading() as (connection, position):
        versions = list_unfinished(connection, after=after, limit=limit)
        progress = progress_by_version(connection, [one.version_id for one in versions])
    items = [
        UnfinishedVersion(one, progress[one.version_id])
        for one in versions
        if one.version_id in progress
    ]
    following = str(versions[-1].created_position) if len(versions) == limit else None
    return Unfinished(items, following, position)
