"""The page of the workers: their presence, their trainings, and the queue."""

import asyncio

import msgspec
from litestar import Controller, get
from litestar.response import Template

from adapters.training.worker_pool import QueueUnreachable, WorkerPool
from api.access.rights import needs
from api.backend import Backend
from api.http.parameters import Cursor, HttpRequest, Served, position_in
from api.pages.html import Page, render
from api.training.messages import ALL_PROJECTS
from api.training.workers import UnfinishedVersion, as_seen, unfinished
from application.access.access import Caller
from application.training.seeds import IssuedSeed, list_seeds
from domain.access.roles import Right
from domain.training.messages import WorkerPresence
from projections.dataset.catalog import CATALOG, find_project, find_view, list_projects
from projections.engine.failing import Failing, failing_among
from projections.registry import READ_MODELS
from projections.training.library_queries import VersionRow, find_version
from projections.training.models_library import MODELS_LIBRARY
from projections.training.trainers import TRAINERS, TrainerRow, list_trainers
from projections.training.version_progress import VERSION_PROGRESS, find_progress

VERSIONS_A_PAGE = 50
PROJECTS_OFFERED = 200


class WorkersPage(Page, frozen=True, kw_only=True):
    """The workers and unfinished versions; `pool` is None, with the reason in `trouble`, while NATS
    does not answer.

    `trained` are the versions that workers train, by id; `views` are names of views by id;
    `failing` are read models that fail. Who may issue seeds sees `trainers`, their `seeds`, and the
    `projects` that one may be bound to; for others they are None.
    """

    pool: WorkerPool | None
    trouble: str | None
    failing: list[Failing]
    versions: list[UnfinishedVersion]
    trained: dict[str, UnfinishedVersion]
    views: dict[str, str]
    first: bool
    following: str | None
    trainers: list[TrainerRow] | None
    seeds: list[IssuedSeed] | None
    projects: dict[str, str]

    @property
    def bindings(self) -> list[tuple[str, str]]:
        """What a seed may be for."""
        return [("", ALL_PROJECTS), *self.projects.items()]

    def seeds_of(self, trainer: TrainerRow) -> list[IssuedSeed]:
        return [seed for seed in self.seeds or () if seed.trainer_id == trainer.trainer_id]

    def taken_by(self, version: VersionRow) -> str | None:
        """The worker that has taken a version, also before its first report."""
        online = self.pool.workers if self.pool else ()
        return next((one.worker for one in online if one.version_id == version.version_id), None)

    def at(self, worker: WorkerPresence) -> UnfinishedVersion | None:
        return None if worker.version_id is None else self.trained.get(worker.version_id)


class WorkerPages(Controller):
    """Workers."""

    @get("/workers", opt=needs(Right.READ, anywhere=True))
    async def workers(
        self, backend: Served, request: HttpRequest, cursor: Cursor = None
    ) -> Template:
        pool, trouble = None, None
        try:
            pool = await backend.queue_monitor.worker_pool()
        except QueueUnreachable as unreachable:
            trouble = str(unreachable)
        page = await asyncio.to_thread(_page, backend, request.user, pool, trouble, cursor)
        return render("training/workers.html", page)


def _page(
    backend: Backend,
    caller: Caller,
    pool: WorkerPool | None,
    trouble: str | None,
    cursor: str | None,
) -> WorkersPage:
    if pool is not None:
        visible = as_seen(backend, caller, pool.workers)
        pool = msgspec.structs.replace(pool, workers=visible)
    queue = unfinished(backend, caller, position_in(cursor), VERSIONS_A_PAGE)
    with backend.reading(None, CATALOG, MODELS_LIBRARY, VERSION_PROGRESS) as (connection, _):
        failing = failing_among(connection, READ_MODELS)
        trained = {}
        for worker in pool.workers if pool else []:
            if worker.version_id is not None:
                version = find_version(connection, worker.version_id)
                progress = find_progress(connection, worker.version_id)
                if version is not None and progress is not None:
                    trained[worker.version_id] = UnfinishedVersion(version, progress)
        shown = [*queue.items, *trained.values()]
        views = {
            view_id: view.name
            for view_id in {item.version.view_id for item in shown}
            if (view := find_view(connection, view_id)) is not None
        }
    trainers, seeds, projects = None, None, {}
    if caller.grants.may(Right.ADMINISTER):
        seeds = list_seeds(backend.store)
        with backend.reading(None, TRAINERS, CATALOG) as (connection, _):
            live = {seed.trainer_id for seed in seeds if not seed.revoked}
            trainers = [
                trainer
                for trainer in list_trainers(connection, retired=True)
                if not trainer.retired or trainer.trainer_id in live
            ]
            offered = list_projects(connection, limit=PROJECTS_OFFERED)
            projects = {project.project_id: project.name for project in offered}
            for key in {seed.project_id for seed in seeds} - {None, *projects}:
                found = find_project(connection, str(key))
                projects |= {found.project_id: found.name} if found else {}
    return WorkersPage(
        trainers=trainers,
        seeds=seeds,
        projects=projects,
        position=queue.position,
        api="/api/v1/workers",
        pool=pool,
        trouble=trouble,
        failing=failing,
        versions=queue.items,
        trained=trained,
        views=views,
        first=cursor is None,
        following=f"?cursor={queue.next}" if queue.next else None,
    )
