"""Routes about those who train: which workers there are, what waits for them, what they are at."""

import asyncio
from collections.abc import Sequence

import msgspec
from litestar import Controller, get

from adapters.training.worker_pool import WorkerPool
from api.access.rights import needs
from api.backend import Backend
from api.http.parameters import Cursor, HttpRequest, Limit, Served, position_in
from application.access.access import Caller
from domain.access.roles import Right
from domain.aggregates import VERSION
from domain.training.messages import WorkerPresence
from projections.training.library_queries import VersionRow, list_unfinished
from projections.training.models_library import MODELS_LIBRARY
from projections.training.version_progress import VERSION_PROGRESS, ProgressRow, progress_by_version


class UnfinishedVersion(msgspec.Struct, frozen=True):
    """A queued or running version, and its progress."""

    version: VersionRow
    progress: ProgressRow


class WorkersView(msgspec.Struct, frozen=True):
    """The workers online, each with the version it trains and since when, and the unfinished
    versions.

    `waiting` and `in_work` count jobs. A version whose images are not frozen yet has no job; a
    cancelled one may have a job until a worker drops it. `next` is for more `versions`.
    """

    workers: list[WorkerPresence]
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
        self, backend: Served, request: HttpRequest, cursor: Cursor = None, limit: Limit = 100
    ) -> WorkersView:
        """Versions are in the order of their creation. 503 while NATS does not answer.

        A worker's version is also null if you have no role in its project.
        """
        pool: WorkerPool = await backend.queue_monitor.worker_pool()
        caller: Caller = request.user
        workers = await asyncio.to_thread(as_seen, backend, caller, pool.workers)
        page = await asyncio.to_thread(unfinished, backend, caller, position_in(cursor), limit)
        return WorkersView(
            workers, pool.waiting, pool.in_work, page.items, page.next, page.position
        )


def as_seen(
    backend: Backend, caller: Caller, workers: Sequence[WorkerPresence]
) -> list[WorkerPresence]:
    """The workers, without the versions that the caller may not see."""
    streams = [VERSION.stream(worker.version_id) for worker in workers if worker.version_id]
    projects = backend.scopes.projects_of(streams)

    def shown(worker: WorkerPresence) -> WorkerPresence:
        project = projects[VERSION.stream(worker.version_id)] if worker.version_id else None
        if project is not None and caller.grants.may(Right.READ, project):
            return worker
        return msgspec.structs.replace(worker, version_id=None)

    return [shown(worker) for worker in workers]


def unfinished(backend: Backend, caller: Caller, after: int | None, limit: int) -> Unfinished:
    seen = caller.grants.projects(Right.READ)
    with backend.reading(None, MODELS_LIBRARY, VERSION_PROGRESS) as (connection, position):
        versions = list_unfinished(connection, after=after, limit=limit, among=seen)
        progress = progress_by_version(connection, [version.version_id for version in versions])
    items = [
        UnfinishedVersion(version, progress[version.version_id])
        for version in versions
        if version.version_id in progress
    ]
    following = str(versions[-1].created_position) if len(versions) == limit else None
    return Unfinished(items, following, position)
