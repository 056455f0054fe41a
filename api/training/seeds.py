"""Routes of the seeds of trainers' workers: issued, shown once, and revoked."""

from typing import Annotated

import msgspec
from litestar import Controller, Response, delete, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from adapters.nats.login import new_seed, public_key
from adapters.settings import SettingsError
from adapters.training.trainer_seeds import access_of, apply_seeds
from api.access.rights import needs
from api.backend import Backend
from api.http.commands import CommandResult, envelope
from api.http.parameters import HttpRequest, Served
from api.http.schemas import Strict
from application.handle import Outcome, handle
from application.training.seeds import IssuedSeed, issue_seed, list_seeds
from domain.access.roles import Right
from domain.aggregates import TRAINER
from domain.errors import Conflict
from domain.trainers.seed import IssueSeed, RevokeSeed


class NewSeed(Strict, frozen=True, kw_only=True):
    """A seed for a worker of a trainer: for jobs of one project, or of all."""

    worker: Annotated[str, Meta(examples=["gpu7"])]
    project_id: Annotated[str | None, Meta(examples=[None])] = None


class Seeds(msgspec.Struct, frozen=True):
    """The last seed of each trainer's worker, by trainer and worker."""

    items: list[IssuedSeed]


class SeedAnswer(CommandResult, frozen=True):
    """`seed` is shown only in this answer, and null if it was shown before. `queue` is what the
    worker takes jobs from. `applied` says whether NATS has the change: if not, `stemma nats sync`
    brings it there."""

    seed: str | None = None
    queue: str = ""
    applied: bool = False


class SeedController(Controller):
    """Seeds of trainers' workers."""

    tags = ("Trainers",)

    @get(
        "/trainers/seeds",
        summary="List the seeds of trainers",
        sync_to_thread=True,
        opt=needs(Right.ADMINISTER),
    )
    def list_trainer_seeds(self, backend: Served) -> Seeds:
        """Whose seeds were issued, with revoked ones. Workers that were created on the machine of
        NATS are not among them."""
        return Seeds(list_seeds(backend.store))

    @post(
        "/trainers/{trainer_id:str}/seeds",
        summary="Issue a seed for a trainer's worker",
        status_code=201,
        sync_to_thread=True,
        opt=needs(Right.ADMINISTER),
    )
    def issue_trainer_seed(
        self,
        backend: Served,
        request: HttpRequest,
        trainer_id: FromPath[str],
        data: JSONBody[NewSeed],
    ) -> Response[SeedAnswer]:
        """The worker takes jobs of the trainer. Bound to a project it gets that project's jobs
        alone, and nobody else gets them.

        Only the public half of the seed is stored.
        """
        access = access_of(backend.data)
        if access is not None and access.has_worker(data.worker):
            raise Conflict(
                f"NATS has a worker {data.worker} already; use another name", field="worker"
            )
        seed = new_seed()
        command = IssueSeed(data.worker, public_key(seed), data.project_id)
        outcome = handle(
            backend.store,
            envelope(request, data),
            lambda session: issue_seed(session, trainer_id, command),
        )
        return _answer(backend, outcome, data.worker, seed, 201)

    @delete(
        "/trainers/{trainer_id:str}/seeds/{worker:str}",
        summary="Revoke the seed of a trainer's worker",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.ADMINISTER),
    )
    def revoke_trainer_seed(
        self,
        backend: Served,
        request: HttpRequest,
        trainer_id: FromPath[str],
        worker: FromPath[str],
    ) -> Response[SeedAnswer]:
        """The worker is disconnected, and what it reports is refused from now on; its job goes to
        another worker."""
        command = RevokeSeed(worker)
        outcome = handle(
            backend.store,
            envelope(request, command),
            lambda session: session.change(TRAINER, trainer_id, command),
        )
        return _answer(backend, outcome, worker, None, 200)


def _answer(
    backend: Backend, outcome: Outcome, worker: str, made: str | None, status_code: int
) -> Response[SeedAnswer]:
    """The answer, with the seed if this request made it."""
    found = next(
        seed
        for seed in list_seeds(backend.store)
        if (seed.trainer_id, seed.worker) == (outcome.id, worker)
    )
    seed = made if made is not None and public_key(made) == found.key else None
    try:
        applied = apply_seeds(backend.store, backend.data)
    except SettingsError:
        applied = False
    return Response(
        SeedAnswer(
            outcome.id,
            outcome.revision,
            outcome.position,
            seed=seed,
            queue=found.queue,
            applied=applied,
        ),
        status_code=status_code,
        headers={"ETag": f'"{outcome.revision}"', "Cache-Control": "no-store"},
    )
