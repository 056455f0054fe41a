"""A version's progress: the steps of its bar, and what is known of its pace."""

import math
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Float,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    func,
    insert,
    select,
    update,
)

from domain.event import Recorded
from domain.version import (
    CANCELLED,
    DONE,
    FAILED,
    PENDING,
    QUEUED,
    RUNNING,
    SKIPPED,
    STEPS,
    TRAINING,
    BatchMetricsRecorded,
    EpochMetricsRecorded,
    TrainingLengthKnown,
    TrainingStepAdvanced,
    VersionCreated,
    VersionRetried,
    VersionStopRequested,
    VersionTrainingCancelled,
    VersionTrainingCompleted,
    VersionTrainingFailed,
    VersionTrainingStarted,
    progress_of,
    status_at_end,
)
from projections.read_model import SCHEMA, ReadModel, Write, event_by_event

metadata = MetaData(schema=SCHEMA)

progress = Table(
    "version_progress_v2",
    metadata,
    Column("version_id", Text, primary_key=True),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("progress", Float, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("delivery", Integer, nullable=False),
    Column("worker", Text),
    Column("device", Text),
    Column("iterations", Integer),
    Column("iterations_per_epoch", Integer),
    Column("iterations_done", Integer, nullable=False),
    Column("epochs_done", Integer, nullable=False),
    Column("stop_requested", Boolean, nullable=False),
    Column("position", BigInteger, nullable=False),
)
steps = Table(
    "version_progress_v2_steps",
    metadata,
    Column("version_id", Text, primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("step", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("started_at", DateTime(timezone=True)),
    Column("ended_at", DateTime(timezone=True)),
    Column("first_fraction", Float),
    Column("fraction", Float, nullable=False),
    Column("updated_at", DateTime(timezone=True)),
)

_version = progress.c.version_id == bindparam("key")
_step = (steps.c.version_id == bindparam("key")) & (steps.c.step == bindparam("which"))

_add = insert(progress)
_add_step = insert(steps)
_moved = update(progress).where(_version).values(position=bindparam("at"))
_started = (
    update(progress)
    .where(_version)
    .values(
        status="preparing",
        delivery=bindparam("times"),
        worker=bindparam("who"),
        device=bindparam("where"),
        progress=0.0,
    )
)
_restart_steps = (
    update(steps)
    .where(steps.c.version_id == bindparam("key"), steps.c.step != QUEUED)
    .values(
        status=PENDING,
        started_at=None,
        ended_at=None,
        first_fraction=None,
        fraction=0.0,
        updated_at=None,
    )
)
_move_step = (
    update(steps)
    .where(_step)
    .values(
        status=bindparam("now"),
        fraction=bindparam("done"),
        started_at=func.coalesce(steps.c.started_at, bindparam("when")),
        first_fraction=func.coalesce(steps.c.first_fraction, bindparam("done")),
        ended_at=bindparam("end"),
        updated_at=bindparam("when"),
    )
)
_fail_step = (
    update(steps)
    .where(steps.c.version_id == bindparam("key"), steps.c.status == RUNNING)
    .values(status=FAILED, ended_at=bindparam("when"))
)
_skip_step = (
    update(steps)
    .where(steps.c.version_id == bindparam("key"), steps.c.status == RUNNING)
    .values(status=SKIPPED, ended_at=bindparam("when"))
)
_skip_rest = (
    update(steps)
    .where(steps.c.version_id == bindparam("key"), steps.c.status == PENDING)
    .values(status=SKIPPED)
)
_advanced = (
    update(progress)
    .where(_version)
    .values(progress=bindparam("done"), status=func.coalesce(bindparam("now"), progress.c.status))
)
_length = (
    update(progress)
    .where(_version)
    .values(iterations=bindparam("whole"), iterations_per_epoch=bindparam("each"))
)
_iterations = update(progress).where(_version).values(iterations_done=bindparam("count"))
_epochs = update(progress).where(_version).values(epochs_done=bindparam("count"))
_ended = (
    update(progress)
    .where(_version)
    .values(
        status=bindparam("now"),
        reason=bindparam("why"),
        progress=func.coalesce(bindparam("done", type_=Float), progress.c.progress),
    )
)
_stop = update(progress).where(_version).values(stop_requested=True)
_retried = (
    update(progress)
    .where(_version)
    .values(
        status=QUEUED,
        reason=None,
        progress=0.0,
        attempt=bindparam("times"),
        delivery=0,
        stop_requested=False,
    )
)


def project(recorded: Recorded) -> Iterator[Write]:
    if not recorded.stream.startswith("version-"):
        return
    if isinstance(recorded.event, VersionCreated):
        yield from _created(recorded)
    else:
        yield from _change(recorded)
        yield Write(_moved, {"key": recorded.entity_id, "at": recorded.position})


def _created(recorded: Recorded) -> Iterator[Write]:
    yield Write(
        _add,
        {
            "version_id": recorded.entity_id,
            "status": QUEUED,
            "reason": None,
            "progress": 0.0,
            "attempt": 1,
            "delivery": 0,
            "worker": None,
            "device": None,
            "iterations": None,
            "iterations_per_epoch": None,
            "iterations_done": 0,
            "epochs_done": 0,
            "stop_requested": False,
            "position": recorded.position,
        },
    )
    at = recorded.metadata.occurred_at
    for place, step in enumerate(STEPS):
        queued = step == QUEUED
        yield Write(
            _add_step,
            {
                "version_id": recorded.entity_id,
                "place": place,
                "step": step,
                "status": RUNNING if queued else PENDING,
                "started_at": at if queued else None,
                "ended_at": None,
                "first_fraction": 0.0 if queued else None,
                "fraction": 0.0,
                "updated_at": at if queued else None,
            },
        )


def _change(recorded: Recorded) -> Iterator[Write]:
    key, at = recorded.entity_id, recorded.metadata.occurred_at
    match recorded.event:
        case VersionTrainingStarted() as started:
            who = {"who": started.worker, "where": started.device, "times": started.delivery}
            yield Write(_started, {"key": key} | who)
            yield Write(_move_step, _step_moved(key, QUEUED, DONE, 1.0, at))
            yield Write(_restart_steps, {"key": key})
        case TrainingStepAdvanced() as moved:
            yield Write(_move_step, _step_moved(key, moved.step, moved.status, moved.fraction, at))
            now = None if moved.step in {"preparing", "saving"} else moved.step
            yield Write(_advanced, {"key": key, "done": progress_of(moved), "now": now})
        case TrainingLengthKnown() as length:
            sizes = {"whole": length.iterations, "each": length.iterations_per_epoch}
            yield Write(_length, {"key": key} | sizes)
        case BatchMetricsRecorded() as batch:
            count = batch.first_iteration + len(batch.loss)
            yield Write(_iterations, {"key": key, "count": count})
        case EpochMetricsRecorded(epoch=epoch):
            yield Write(_epochs, {"key": key, "count": epoch})
        case VersionStopRequested():
            yield Write(_stop, {"key": key})
        case VersionTrainingCompleted() as completed:
            now = status_at_end(completed)
            yield Write(_ended, {"key": key, "now": now, "why": None, "done": 1.0})
        case VersionTrainingCancelled():
            yield Write(_skip_step, {"key": key, "when": at})
            yield Write(_skip_rest, {"key": key})
            yield Write(_ended, {"key": key, "now": CANCELLED, "why": None, "done": None})
        case VersionTrainingFailed(reason=reason):
            yield Write(_fail_step, {"key": key, "when": at})
            yield Write(_ended, {"key": key, "now": FAILED, "why": reason, "done": None})
        case VersionRetried(attempt=attempt):
            yield Write(_retried, {"key": key, "times": attempt})
            yield Write(_restart_steps, {"key": key})
            yield Write(_move_step, _step_moved(key, QUEUED, RUNNING, 0.0, at))


def _step_moved(key: str, step: str, status: str, fraction: float, at: datetime) -> dict[str, Any]:
    ended = None if status == RUNNING else at
    return {
        "key": key,
        "which": step,
        "now": status,
        "done": fraction,
        "when": at,
        "end": ended,
    }


VERSION_PROGRESS = ReadModel(
    "version_progress_v2", metadata, event_by_event(project), ("version.",)
)


class StepRow(msgspec.Struct, frozen=True):
    """A step of the bar; `fraction` of it, in [0, 1], is done."""

    step: str
    status: str
    started_at: datetime | None
    ended_at: datetime | None
    fraction: float


class ProgressRow(msgspec.Struct, frozen=True):
    """Where a version's training stands. `progress` of the whole is in [0, 1].

    `seconds_left` of the training step follows from what an iteration has taken in it so far,
    validation included; None while unknown. `stop_requested` says that it is to end with its
    running epoch. `position` is that of the version's last event.
    """

    version_id: str
    status: str
    reason: str | None
    progress: float
    attempt: int
    delivery: int
    worker: str | None
    device: str | None
    iterations: int | None
    iterations_per_epoch: int | None
    iterations_done: int
    epochs_done: int
    stop_requested: bool
    position: int
    steps: list[StepRow]
    seconds_left: float | None


def find_progress(connection: Connection, version_id: str) -> ProgressRow | None:
    return progress_by_version(connection, [version_id]).get(version_id)


def progress_by_version(
    connection: Connection, version_ids: Collection[str]
) -> dict[str, ProgressRow]:
    """The progress of each of these versions that there is, by id."""
    rows = connection.execute(select(progress).where(progress.c.version_id.in_(version_ids)))
    query = select(steps).where(steps.c.version_id.in_(version_ids)).order_by(steps.c.place)
    found: dict[str, list[Any]] = {}
    for step in connection.execute(query):
        found.setdefault(step.version_id, []).append(step)
    return {row.version_id: _progress_row(row, found[row.version_id]) for row in rows}


def _progress_row(row: Any, found: list[Any]) -> ProgressRow:
    return ProgressRow(
        **row._mapping,
        steps=[
            StepRow(step.step, step.status, step.started_at, step.ended_at, step.fraction)
            for step in found
        ],
        seconds_left=_seconds_left(row, found),
    )


def _seconds_left(row: Any, found: list[Any]) -> float | None:
    """The iterations left, at the pace of those that the running training step has done.

    The step's fraction is that of the iterations done. One that is to stop has its epoch left.
    """
    if not row.iterations:
        return None
    for step in found:
        if step.step == TRAINING and step.status == RUNNING:
            done = (step.fraction - step.first_fraction) * row.iterations
            if done <= 0:
                return None
            at = step.fraction * row.iterations
            end = row.iterations
            if row.stop_requested:
                end = min(end, math.ceil(at / row.iterations_per_epoch) * row.iterations_per_epoch)
            spent = (step.updated_at - step.started_at).total_seconds()
            return float(spent / done * (end - at))
    return None
