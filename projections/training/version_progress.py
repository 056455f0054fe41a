"""The progress of a version's training: its steps, and an estimate of the time left."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Float,
    Integer,
    MetaData,
    Select,
    Table,
    Text,
    Update,
    bindparam,
    func,
    insert,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

from domain.aggregates import VERSION
from domain.event import Recorded
from domain.training.adoption import VersionAdopted
from domain.training.version import (
    CANCELLED,
    DONE,
    ENDED,
    EVALUATING,
    FAILED,
    PENDING,
    QUEUED,
    READY,
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
from projections.engine.history import SINCE, History, valid_from_column
from projections.engine.read_model import SCHEMA, ReadModel, Write, event_by_event
from projections.engine.writes import fetch

metadata = MetaData(schema=SCHEMA)

Change = tuple[Update, dict[str, Any]]
"""A statement and its parameters, without those for the version."""

progress = Table(
    "version_progress_v3",
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
    valid_from_column(),
)
steps = Table(
    "version_progress_v3_steps",
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
    valid_from_column(),
)

PROGRESS = History(
    progress,
    "status",
    "reason",
    "progress",
    "attempt",
    "delivery",
    "worker",
    "device",
    "iterations",
    "iterations_per_epoch",
    "iterations_done",
    "epochs_done",
    "stop_requested",
    "position",
)
STEPS_OF = History(
    steps, "status", "started_at", "ended_at", "first_fraction", "fraction", "updated_at"
)

_version = progress.c.version_id == bindparam("key")
_of_version = steps.c.version_id == bindparam("key")
_step = _of_version & (steps.c.step == bindparam("which"))


def _change(**values: Any) -> Update:
    return PROGRESS.change(_version, position=SINCE, **values)


_add = insert(progress)
_add_step = insert(steps)
_moved = _change()
_started = _change(
    status="preparing",
    delivery=bindparam("times"),
    worker=bindparam("who"),
    device=bindparam("where"),
    progress=0.0,
)
_restart_steps = STEPS_OF.change(
    _of_version & (steps.c.step != QUEUED),
    status=PENDING,
    started_at=None,
    ended_at=None,
    first_fraction=None,
    fraction=0.0,
    updated_at=None,
)
_move_step = STEPS_OF.change(
    _step,
    status=bindparam("now"),
    fraction=bindparam("done"),
    started_at=func.coalesce(steps.c.started_at, bindparam("when")),
    first_fraction=func.coalesce(steps.c.first_fraction, bindparam("done")),
    ended_at=bindparam("end"),
    updated_at=bindparam("when"),
)
_running = _of_version & (steps.c.status == RUNNING)
_fail_step = STEPS_OF.change(_running, status=FAILED, ended_at=bindparam("when"))
_skip_step = STEPS_OF.change(_running, status=SKIPPED, ended_at=bindparam("when"))
_skip_rest = STEPS_OF.change(_of_version & (steps.c.status == PENDING), status=SKIPPED)
_advanced = _change(
    progress=bindparam("done"), status=func.coalesce(bindparam("now"), progress.c.status)
)
_length = _change(iterations=bindparam("whole"), iterations_per_epoch=bindparam("each"))
_iterations = _change(iterations_done=bindparam("count"))
_epochs = _change(epochs_done=bindparam("count"))
_ended = _change(
    status=bindparam("now"),
    reason=bindparam("why"),
    progress=func.coalesce(bindparam("done", type_=Float), progress.c.progress),
)
_stop = _change(stop_requested=True)
_retried = _change(
    status=QUEUED,
    reason=None,
    progress=0.0,
    attempt=bindparam("times"),
    delivery=0,
    stop_requested=False,
)


def project(recorded: Recorded) -> Iterator[Write]:
    if recorded.kind != VERSION.kind:
        return
    if isinstance(recorded.event, VersionCreated):
        yield from _created(recorded, recorded.event.adopted is not None)
        return
    own = {"key": recorded.entity_id, "since": recorded.position}
    statement, values = _progressed(recorded)
    yield Write(statement, own | values)
    for statement, values in _stepped(recorded):
        yield Write(statement, own | values)


def _created(recorded: Recorded, adopted: bool) -> Iterator[Write]:
    """A version that is adopted skips the steps of a training, and is evaluated at once."""
    current = EVALUATING if adopted else QUEUED
    other = SKIPPED if adopted else PENDING
    yield Write(
        _add,
        {
            "version_id": recorded.entity_id,
            "status": current,
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
            "valid_from": recorded.position,
        },
    )
    at = recorded.metadata.occurred_at
    for place, step in enumerate(STEPS):
        runs = step == current
        yield Write(
            _add_step,
            {
                "version_id": recorded.entity_id,
                "place": place,
                "step": step,
                "status": RUNNING if runs else other,
                "started_at": at if runs else None,
                "ended_at": None,
                "first_fraction": 0.0 if runs else None,
                "fraction": 0.0,
                "updated_at": at if runs else None,
                "valid_from": recorded.position,
            },
        )


def _progressed(recorded: Recorded) -> Change:
    """The change of a version's progress by an event: at least its position changes."""
    match recorded.event:
        case VersionTrainingStarted() as started:
            who = {"who": started.worker, "where": started.device, "times": started.delivery}
            return _started, who
        case TrainingStepAdvanced() as moved:
            now = None if moved.step in {"preparing", "saving"} else moved.step
            return _advanced, {"done": progress_of(moved), "now": now}
        case TrainingLengthKnown() as length:
            return _length, {"whole": length.iterations, "each": length.iterations_per_epoch}
        case BatchMetricsRecorded() as batch:
            return _iterations, {"count": batch.first_iteration + len(batch.loss)}
        case EpochMetricsRecorded(epoch=epoch):
            return _epochs, {"count": epoch}
        case VersionStopRequested():
            return _stop, {}
        case VersionTrainingCompleted() as completed:
            return _ended, {"now": status_at_end(completed), "why": None, "done": 1.0}
        case VersionAdopted():
            return _ended, {"now": READY, "why": None, "done": 1.0}
        case VersionTrainingCancelled():
            return _ended, {"now": CANCELLED, "why": None, "done": None}
        case VersionTrainingFailed(reason=reason):
            return _ended, {"now": FAILED, "why": reason, "done": None}
        case VersionRetried(attempt=attempt):
            return _retried, {"times": attempt}
    return _moved, {}


def _stepped(recorded: Recorded) -> Iterator[Change]:
    """The changes of a version's steps by an event."""
    at = recorded.metadata.occurred_at
    match recorded.event:
        case VersionTrainingStarted():
            yield _move_step, _to(QUEUED, DONE, 1.0, at)
            yield _restart_steps, {}
        case TrainingStepAdvanced() as moved:
            yield _move_step, _to(moved.step, moved.status, moved.fraction, at)
        case VersionAdopted():
            yield _move_step, _to(EVALUATING, DONE, 1.0, at)
        case VersionTrainingCancelled():
            yield _skip_step, {"when": at}
            yield _skip_rest, {}
        case VersionTrainingFailed():
            yield _fail_step, {"when": at}
        case VersionRetried():
            yield _restart_steps, {}
            yield _move_step, _to(QUEUED, RUNNING, 0.0, at)


def _to(step: str, status: str, fraction: float, at: datetime) -> dict[str, Any]:
    ended = None if status == RUNNING else at
    return {"which": step, "now": status, "done": fraction, "when": at, "end": ended}


VERSION_PROGRESS = ReadModel(
    "version_progress_v3", metadata, event_by_event(project), ("version.",)
)


class StepRow(msgspec.Struct, frozen=True):
    """A step of a training; `fraction`, in [0, 1], is its completed share."""

    step: str
    status: str
    started_at: datetime | None
    ended_at: datetime | None
    fraction: float


class ProgressRow(msgspec.Struct, frozen=True):
    """The progress of a version's training; `progress`, in [0, 1], is its completed share.

    `seconds_left` of the training step is estimated from its mean time for an iteration so far,
    including validation; it is None while unknown. `stop_requested` says that the training ends
    after its running epoch. `position` is that of the version's last event.
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


def trainings_before(connection: Connection, version_id: str) -> int | None:
    """How many trainings run or were queued earlier than that of a queued version, in all projects;
    None if it is not queued."""
    place = steps.c.place == STEPS.index(QUEUED)
    # The row of this step changes when a version is queued, and then when it is no longer.
    own = select(steps.c.valid_from).where(
        steps.c.version_id == version_id, place, steps.c.status == RUNNING
    )
    queued_at = connection.scalar(own)
    if queued_at is None:
        return None
    before = or_(progress.c.status != QUEUED, steps.c.valid_from < queued_at)
    query = (
        select(func.count())
        .select_from(progress.join(steps, progress.c.version_id == steps.c.version_id))
        .where(place, progress.c.status.not_in(ENDED), before)
    )
    return connection.scalar(query)


def _of_versions(keys: ColumnElement[Any], as_of: int | None) -> Select[Any]:
    """The steps of versions in order, each behind the progress of its version."""
    progress, steps = PROGRESS.at(as_of), STEPS_OF.at(as_of)
    return (
        select(
            *(progress.c[name] for name in _OF_VERSION),
            steps.c.step,
            steps.c.status,
            steps.c.started_at,
            steps.c.ended_at,
            steps.c.fraction,
            steps.c.first_fraction,
            steps.c.updated_at,
        )
        .select_from(progress.join(steps, steps.c.version_id == progress.c.version_id))
        .where(progress.c.version_id == keys, steps.c.version_id == keys)
        .order_by(progress.c.version_id, steps.c.place)
    )


_OF_VERSION = tuple(
    name for name in ProgressRow.__struct_fields__ if name not in {"steps", "seconds_left"}
)
_SEVERAL = func.any(bindparam("keys", type_=ARRAY(Text)))
_NOW, _THEN = _of_versions(_SEVERAL, None), _of_versions(_SEVERAL, 0)
# Among names in an array PostgreSQL expects several, and plans each time anew.
_ONE_NOW = _of_versions(bindparam("key", type_=Text), None)


def progress_query(version_ids: Collection[str], as_of: int | None = None) -> Write:
    """The query of the progress of versions, whose rows `progress_in` reads."""
    if as_of is None and len(version_ids) == 1:
        [key] = version_ids
        return Write(_ONE_NOW, {"key": key})
    keys = {"keys": list(version_ids)}
    return Write(_NOW, keys) if as_of is None else Write(_THEN, {**keys, "as_of": as_of})


def find_progress(
    connection: Connection, version_id: str, *, as_of: int | None = None
) -> ProgressRow | None:
    return progress_by_version(connection, [version_id], as_of=as_of).get(version_id)


def progress_by_version(
    connection: Connection, version_ids: Collection[str], *, as_of: int | None = None
) -> dict[str, ProgressRow]:
    """The progress of those of the versions that exist, by id.

    `as_of` is a past position of the log.
    """
    return progress_in(fetch(connection, progress_query(version_ids, as_of)))


class _Step(NamedTuple):
    step: str
    status: str
    started_at: datetime
    ended_at: datetime
    fraction: float
    first_fraction: float
    updated_at: datetime


def progress_in(rows: Iterable[tuple[Any, ...]]) -> dict[str, ProgressRow]:
    """The progress of versions, by id, from the rows of `progress_query`."""
    found = {}
    for version_id, of_version in groupby(rows, key=itemgetter(0)):
        listed = list(of_version)
        steps = [_Step(*row[len(_OF_VERSION) :]) for row in listed]
        row = dict(zip(_OF_VERSION, listed[0], strict=False))
        found[version_id] = ProgressRow(
            **row, steps=[StepRow(*step[:5]) for step in steps], seconds_left=_left(row, steps)
        )
    return found


def _left(row: Mapping[str, Any], steps: Iterable[_Step]) -> float | None:
    """The time for the iterations left, at the pace of those done in the running training step.

    The step's fraction is the share of iterations done. If a stop is requested, only the iterations
    of the running epoch are left.
    """
    iterations, each = row["iterations"], row["iterations_per_epoch"]
    if not iterations:
        return None
    for step in steps:
        if step.step == TRAINING and step.status == RUNNING:
            done = (step.fraction - step.first_fraction) * iterations
            if done <= 0:
                return None
            at = step.fraction * iterations
            end = iterations
            if row["stop_requested"]:
                end = min(end, math.ceil(at / each) * each)
            spent = (step.updated_at - step.started_at).total_seconds()
            return float(spent / done * (end - at))
    return None
