"""Queries of experiments: their lists, and the trials of one with how their trainings go."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from domain.errors import Invalid
from domain.experiments.experiment import ExperimentConcluded, TrialPruned
from domain.experiments.space import Parameters, SearchSpace, Value
from domain.experiments.trainer_space import TrainerSearch
from domain.trainers.trainer import TrainerUse
from domain.training.options import TrainingOptions, not_built_in
from domain.training.version import CANCELLED, ENDED, FAILED, READY, STEPS, STOPPED
from projections.engine.history import execute_at
from projections.experiments.experiments import CONCLUDED, EXPERIMENTS_HISTORY, trials
from projections.training.metric_history import METRICS, chunks
from projections.training.models_library import VERSIONS

PRUNED = "pruned"
NUMBER, BEST, STATUS = "number", "best", "status"
SORTS = (NUMBER, BEST, STATUS)
STATUSES = (*STEPS, READY, STOPPED, CANCELLED, FAILED, PRUNED)


class TrialRow(msgspec.Struct, frozen=True):
    """A trial, which is the version `version_id`.

    `status` is the version's, or `pruned`. `value` is the objective of its best checkpoint so far,
    `progress` of its training in [0, 1]. `looked_at` is the position of the log that its choice
    rests on. With a `trainer`, whose settings it has, its `options` are blank.
    """

    number: int
    version_id: str
    name: str
    status: str
    progress: float
    value: float | None
    validation_loss: float | None
    parameters: Parameters
    sampler: str
    looked_at: int
    options: TrainingOptions
    trainer: TrainerUse | None
    pruning: TrialPruned | None
    reason: str | None
    attempt: int
    created_at: datetime
    created_position: int
    ended_at: datetime | None


class TrialCounts(msgspec.Struct, frozen=True):
    """Trials by how far they are; `open` ones are queued or train."""

    open: int
    completed: int
    pruned: int
    failed: int


class ExperimentRow(msgspec.Struct, frozen=True):
    """An experiment with its best trial so far, of those completed.

    `state` is running, stopping or concluded. `progress` is the share of its trials that is done,
    in [0, 1]. `epochs_trained` are those of all trials, of `epochs_planned` for the trials so far.
    `seconds_left` is an estimate, and None without one. `options` are those that all trials share.
    With a `trainer` the trials vary settings of it; `options` and `space` are empty.
    """

    experiment_id: str
    project_id: str
    view_id: str
    model_id: str
    name: str
    kind: str
    state: str
    objective: str
    epochs: float
    budget: int
    concurrency: int
    seed: int
    pruning: bool
    options: dict[str, Value]
    space: SearchSpace
    trainer: TrainerSearch | None
    log_position: int
    started_by: str
    conclusion: ExperimentConcluded | None
    counts: TrialCounts
    best: TrialRow | None
    progress: float
    epochs_trained: int
    epochs_planned: int
    seconds_left: float | None
    created_at: datetime
    created_position: int
    ended_at: datetime | None
    revision: int


class Curve(msgspec.Struct, frozen=True):
    """A metric of a trial after each of its epochs, the first of which is 1."""

    number: int
    version_id: str
    metric: str
    values: list[float]


def list_experiments(
    connection: Connection,
    view_id: str,
    now: datetime,
    *,
    before: int | None = None,
    limit: int = 50,
    as_of: int | None = None,
) -> list[ExperimentRow]:
    """A view's experiments, newest first; `before` is the `created_position` of the last seen."""
    experiments = EXPERIMENTS_HISTORY.at(as_of)
    query = (
        select(experiments)
        .where(experiments.c.view_id == view_id)
        .order_by(experiments.c.created_position.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(experiments.c.created_position < before)
    rows = execute_at(connection, query, as_of).all()
    return _experiments(connection, rows, now, as_of)


def find_experiment(
    connection: Connection, experiment_id: str, now: datetime, *, as_of: int | None = None
) -> ExperimentRow | None:
    experiments = EXPERIMENTS_HISTORY.at(as_of)
    query = select(experiments).where(experiments.c.experiment_id == experiment_id)
    rows = execute_at(connection, query, as_of).all()
    found = _experiments(connection, rows, now, as_of)
    return found[0] if found else None


def list_trials(
    connection: Connection,
    experiment_id: str,
    *,
    status: str | None = None,
    sort: str = NUMBER,
    as_of: int | None = None,
) -> list[TrialRow]:
    """All trials of an experiment. The best come first by value, then by validation loss."""
    require_known(status, sort)
    rows = _trials(connection, [experiment_id], as_of)[experiment_id]
    if status is not None:
        rows = [row for row in rows if row.status == status]
    if sort == BEST:
        rows.sort(key=_rank)
    elif sort == STATUS:
        rows.sort(key=lambda row: (row.status, row.number))
    return rows


def require_known(status: str | None, sort: str) -> None:
    """Raises `Invalid` for a status that no trial has, or an order that is none."""
    if status is not None and status not in STATUSES:
        raise Invalid(
            f"status must be one of {', '.join(STATUSES)}, got {status!r}", field="status"
        )
    if sort not in SORTS:
        raise Invalid(f"sort must be one of {', '.join(SORTS)}, got {sort!r}", field="sort")


def curves_of(
    connection: Connection, experiment_id: str, *, as_of: int | None = None
) -> list[Curve]:
    """The metrics of all trials after each epoch, by trial."""
    query = (
        select(trials.c.number, trials.c.version_id, chunks.c.metric, chunks.c["values"])
        .join(chunks, chunks.c.version_id == trials.c.version_id)
        .where(
            trials.c.experiment_id == experiment_id,
            chunks.c.metric.in_([metric for metric in METRICS if metric.startswith("validation_")]),
        )
        .order_by(trials.c.number, chunks.c.metric, chunks.c.position)
    )
    if as_of is not None:
        query = query.where(chunks.c.position <= as_of)
    found: dict[tuple[int, str], Curve] = {}
    for row in connection.execute(query):
        key = row.number, row.metric
        curve = found.setdefault(key, Curve(row.number, row.version_id, row.metric, []))
        curve.values.extend(row[3])
    return list(found.values())


def _trials(
    connection: Connection, experiment_ids: Sequence[str], as_of: int | None
) -> dict[str, list[TrialRow]]:
    versions = VERSIONS.at(as_of)
    query = (
        select(trials, *(versions.c[name].label(f"version_{name}") for name in _OF_VERSION))
        .join(versions, versions.c.version_id == trials.c.version_id)
        .where(trials.c.experiment_id.in_(experiment_ids))
        .order_by(trials.c.number)
    )
    if as_of is not None:
        query = query.where(trials.c.created_position <= as_of)
    found: dict[str, list[TrialRow]] = {experiment_id: [] for experiment_id in experiment_ids}
    for row in execute_at(connection, query, as_of):
        found[row.experiment_id].append(_trial(row._mapping, as_of))
    return found


_OF_VERSION = (
    "name",
    "status",
    "progress",
    "indicator",
    "validation_loss",
    "options",
    "reason",
    "attempt",
    "created_at",
    "ended_at",
)


def _trial(row: Any, as_of: int | None) -> TrialRow:
    pruned = row["pruned_position"]
    chosen = row["version_options"]
    own = chosen.get("trainer")
    trainer = None if own is None else msgspec.convert(own, TrainerUse)
    if pruned is None or (as_of is not None and pruned > as_of):
        pruning = None
    else:
        pruning = msgspec.convert(row["pruning"], TrialPruned)
    return TrialRow(
        number=row["number"],
        version_id=row["version_id"],
        name=row["version_name"],
        status=row["version_status"] if pruning is None else PRUNED,
        progress=1.0 if row["version_status"] in ENDED else row["version_progress"],
        value=row["version_indicator"] if pruning is None else pruning.value,
        validation_loss=row["version_validation_loss"] if pruning is None else None,
        parameters=row["parameters"],
        sampler=row["sampler"],
        looked_at=row["looked_at"],
        options=not_built_in(trainer.name) if trainer else msgspec.convert(chosen, TrainingOptions),
        trainer=trainer,
        pruning=pruning,
        reason=row["version_reason"],
        attempt=row["version_attempt"],
        created_at=row["version_created_at"],
        created_position=row["created_position"],
        ended_at=row["version_ended_at"],
    )


def _rank(row: TrialRow) -> tuple[float, float, int]:
    """As `domain.experiments.search.best_of`: by value, then by loss, then by number."""
    value = float("-inf") if row.value is None else row.value
    loss = float("inf") if row.validation_loss is None else row.validation_loss
    return -value, loss, row.number


def _experiments(
    connection: Connection, rows: Sequence[Any], now: datetime, as_of: int | None
) -> list[ExperimentRow]:
    ids = [row.experiment_id for row in rows]
    by_id = _trials(connection, ids, as_of)
    epochs = _epochs(connection, ids, as_of)
    return [
        _experiment(row._mapping, by_id[row.experiment_id], epochs.get(row.experiment_id, 0), now)
        for row in rows
    ]


def _epochs(connection: Connection, ids: Sequence[str], as_of: int | None) -> dict[str, int]:
    """The epochs that were validated in all trials of each experiment."""
    query = (
        select(trials.c.experiment_id, func.count().label("epochs"))
        .join(chunks, chunks.c.version_id == trials.c.version_id)
        .where(trials.c.experiment_id.in_(ids), chunks.c.metric == "validation_loss")
        .group_by(trials.c.experiment_id)
    )
    if as_of is not None:
        query = query.where(chunks.c.position <= as_of)
    return {row.experiment_id: row.epochs for row in connection.execute(query)}


def _experiment(row: Any, own: list[TrialRow], epochs: int, now: datetime) -> ExperimentRow:
    completed = [trial for trial in own if trial.status in {READY, STOPPED}]
    counts = TrialCounts(
        open=sum(trial.status not in {*ENDED, PRUNED} for trial in own),
        completed=len(completed),
        pruned=sum(trial.status == PRUNED for trial in own),
        failed=sum(trial.status in {FAILED, CANCELLED} for trial in own),
    )
    done = sum(1.0 if trial.status == PRUNED else trial.progress for trial in own)
    progress = 1.0 if row["state"] == CONCLUDED else min(done / row["budget"], 1.0)
    elapsed = (now - row["created_at"]).total_seconds()
    left = elapsed * (1 - progress) / progress if 0 < progress < 1 and elapsed > 0 else None
    conclusion = row["conclusion"]
    plain = {
        name: row[name]
        for name in ExperimentRow.__struct_fields__
        if name in row and name not in {"space", "trainer", "conclusion"}
    }
    return ExperimentRow(
        **plain,
        space=msgspec.convert(row["space"], SearchSpace),
        trainer=None if row["trainer"] is None else msgspec.convert(row["trainer"], TrainerSearch),
        conclusion=None if conclusion is None else msgspec.convert(conclusion, ExperimentConcluded),
        counts=counts,
        best=min(completed, key=_rank, default=None),
        progress=progress,
        epochs_trained=epochs,
        epochs_planned=round(len(own) * row["epochs"]),
        seconds_left=left,
    )
