"""Seeds of trainers' workers: issued, revoked, and listed from the log."""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from application.handle import Decided, Session
from application.log.store import Store
from domain.aggregates import PROJECT, TRAINER, Aggregate
from domain.dataset import project as projects
from domain.errors import Conflict
from domain.event import StreamName
from domain.trainers.seed import IssueSeed, SeedIssued
from domain.trainers.trainer import Trainer, queue_of


class IssuedSeed(msgspec.Struct, frozen=True):
    """The seed of a trainer's worker. `key` is its public half, by which NATS knows the worker.

    It takes the jobs of `queue`: of the trainer, or of one project if that is bound to it.
    """

    trainer_id: str
    trainer: str
    worker: str
    key: str
    project_id: str | None
    queue: str
    revoked: bool
    issued_at: datetime


def issue_seed(session: Session, trainer_id: str, command: IssueSeed) -> Decided[Trainer]:
    """A worker's name is used by one trainer at a time. Raises `Conflict`, `Invalid` or
    `NotFound`."""
    if command.project_id is not None:
        projects.require(session.get(PROJECT, command.project_id))
    others = [key for key in _ids(session.store, TRAINER) if key != trainer_id]
    for other in session.get_many(TRAINER, others).values():
        seed = other.seeds.get(command.worker) if other else None
        if other and seed and not seed.revoked:
            raise Conflict(
                f"worker {command.worker} has a seed of trainer {other.name}; use another name",
                field="worker",
            )
    return session.change(TRAINER, trainer_id, command)


def list_seeds(store: Store) -> list[IssuedSeed]:
    """The last seed of each worker, with revoked ones; by trainer and worker."""
    found = []
    streams = [TRAINER.stream(key) for key in _ids(store, TRAINER)]
    for events in store.streams(streams).values():
        trainer: Trainer | None = TRAINER.fold(recorded.event for recorded in events)
        if trainer is None:
            continue
        issued = {
            recorded.event.worker: recorded
            for recorded in events
            if isinstance(recorded.event, SeedIssued)
        }
        found += [
            IssuedSeed(
                recorded.entity_id,
                trainer.name,
                worker,
                trainer.seeds[worker].key,
                trainer.seeds[worker].project_id,
                queue_of(trainer.name, trainer.seeds[worker].project_id),
                trainer.seeds[worker].revoked,
                recorded.metadata.occurred_at,
            )
            for worker, recorded in issued.items()
        ]
    return sorted(found, key=lambda seed: (seed.trainer, seed.worker))


def is_revoked(store: Store, trainer_id: str, worker: str) -> bool:
    """Whether a worker of a trainer had a seed that was revoked since. One whose seed was made on
    the machine of NATS is not known here."""
    stream = TRAINER.stream(trainer_id)
    trainer: Trainer | None = TRAINER.fold(r.event for r in store.streams([stream])[stream])
    seed = trainer.seeds.get(worker) if trainer else None
    return seed is not None and seed.revoked


def _ids(store: Store, aggregate: Aggregate[Trainer]) -> Iterator[str]:
    after = ""
    while names := store.streams_of(aggregate.kind, after=after):
        yield from (StreamName.parse(name).entity_id for name in names)
        after = names[-1]
