"""What a queued version waits for: the read models know what is before it, NATS the workers."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from api.backend import Backend
from domain.aggregates import TRAINER
from domain.trainers.trainer import queue_of, trainer_id
from domain.training.waiting import Waiting, workers_of
from projections.training.library_queries import VersionRow, find_version
from projections.training.models_library import MODELS_LIBRARY
from projections.training.test_evaluations import QUEUED, EvaluationOnTestSet


class TrainerQueue(NamedTuple):
    """A trainer's name, and the queue of its jobs."""

    trainer: str
    queue: str


async def waiting_for(backend: Backend, version_id: str, before: int | None) -> Waiting | None:
    """With so many trainings before it; None if it is not queued."""
    if before is None:
        return None
    own = await asyncio.to_thread(_of_version, backend, version_id)
    if own is None:
        return Waiting(before, await backend.queue_monitor.online())
    return Waiting(before, await backend.queue_monitor.online(own.queue), own.trainer)


async def evaluation_waits_for(
    backend: Backend, version: VersionRow, evaluations: Sequence[EvaluationOnTestSet]
) -> str:
    """What a queued evaluation on the test set waits for, if that is a worker of its trainer."""
    if version.trainer is None or not any(
        one.by_trainer and one.status == QUEUED for one in evaluations
    ):
        return ""
    name = version.trainer.name
    queue = await asyncio.to_thread(trainer_queue, backend, name, version.project_id)
    online = await backend.queue_monitor.online(queue)
    return "" if online is None else workers_of(name, online)


def _of_version(backend: Backend, version_id: str) -> TrainerQueue | None:
    with backend.reading(None, MODELS_LIBRARY) as (connection, _):
        version = find_version(connection, version_id)
    if version is None or version.trainer is None:
        return None
    name = version.trainer.name
    return TrainerQueue(name, trainer_queue(backend, name, version.project_id))


def trainer_queue(backend: Backend, name: str, project_id: str) -> str:
    """The queue to which a job of a project would be sent now."""
    stream = TRAINER.stream(trainer_id(name))
    events = backend.store.streams([stream])[stream]
    trainer = TRAINER.fold(recorded.event for recorded in events)
    return queue_of(name) if trainer is None else trainer.queue(project_id)
