"""Experiments, and their trials with what was chosen for them.

How a trial's training goes is in the Models Library, since a trial is a version.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    insert,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from domain.event import Recorded
from domain.experiments.experiment import (
    ExperimentConcluded,
    ExperimentStarted,
    ExperimentStopRequested,
    TrialProposed,
    TrialPruned,
)
from projections.engine.history import History, valid_from_column
from projections.engine.read_model import SCHEMA, ReadModel, Write, event_by_event

RUNNING, STOPPING, CONCLUDED = "running", "stopping", "concluded"

metadata = MetaData(schema=SCHEMA)

experiments = Table(
    "experiments_v2",
    metadata,
    Column("experiment_id", Text, primary_key=True),
    Column("project_id", Text, nullable=False),
    Column("view_id", Text, nullable=False),
    Column("model_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("objective", Text, nullable=False),
    Column("epochs", Float, nullable=False),
    Column("budget", Integer, nullable=False),
    Column("concurrency", Integer, nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("pruning", Boolean, nullable=False),
    Column("options", JSONB, nullable=False),
    Column("space", JSONB, nullable=False),
    Column("trainer", JSONB(none_as_null=True)),
    Column("log_position", BigInteger, nullable=False),
    Column("started_by", Text, nullable=False),
    Column("conclusion", JSONB(none_as_null=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("created_position", BigInteger, nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("revision", BigInteger, nullable=False),
    valid_from_column(),
    Index("experiments_v2_by_view", "view_id", "created_position"),
)
trials = Table(
    "experiments_v2_trials",
    metadata,
    Column("experiment_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("version_id", Text, nullable=False),
    Column("parameters", JSONB, nullable=False),
    Column("sampler", Text, nullable=False),
    Column("looked_at", BigInteger, nullable=False),
    Column("created_position", BigInteger, nullable=False),
    Column("pruning", JSONB(none_as_null=True)),
    Column("pruned_position", BigInteger),
)
"""`pruning` and `pruned_position` are null until a trial is pruned, which happens once."""

EXPERIMENTS_HISTORY = History(
    experiments, "state", "conclusion", "ended_at", "revision", born="created_position"
)

_experiment = experiments.c.experiment_id == bindparam("key")
_to = bindparam("to", type_=BigInteger)
_add = insert(experiments)
_propose = insert(trials)
_revise = EXPERIMENTS_HISTORY.change(_experiment, revision=_to)
_stop = EXPERIMENTS_HISTORY.change(_experiment, state=STOPPING, revision=_to)
_conclude = EXPERIMENTS_HISTORY.change(
    _experiment,
    state=CONCLUDED,
    conclusion=bindparam("result", type_=JSONB),
    ended_at=bindparam("end"),
    revision=_to,
)
_prune = (
    update(trials)
    .where(trials.c.experiment_id == bindparam("key"), trials.c.number == bindparam("trial"))
    .values(pruning=bindparam("result", type_=JSONB), pruned_position=bindparam("since"))
)


def project(recorded: Recorded) -> Iterator[Write]:
    key, position = recorded.entity_id, recorded.position
    own: dict[str, Any] = {"key": key, "to": recorded.originator_version, "since": position}
    match recorded.event:
        case ExperimentStarted() as started:
            yield Write(_add, _row(recorded, started))
        case TrialProposed() as proposed:
            yield Write(
                _propose,
                {
                    "experiment_id": key,
                    "number": proposed.number,
                    "version_id": proposed.version_id,
                    "parameters": proposed.parameters,
                    "sampler": proposed.sampler,
                    "looked_at": proposed.log_position,
                    "created_position": position,
                    "pruning": None,
                    "pruned_position": None,
                },
            )
            yield Write(_revise, own)
        case TrialPruned() as pruned:
            result = msgspec.to_builtins(pruned)
            yield Write(
                _prune, {"key": key, "trial": pruned.number, "result": result, "since": position}
            )
            yield Write(_revise, own)
        case ExperimentStopRequested():
            yield Write(_stop, own)
        case ExperimentConcluded() as concluded:
            result = msgspec.to_builtins(concluded)
            yield Write(_conclude, own | {"result": result, "end": recorded.metadata.occurred_at})


def _row(recorded: Recorded, started: ExperimentStarted) -> dict[str, Any]:
    return {
        "experiment_id": recorded.entity_id,
        "project_id": started.project_id,
        "view_id": started.view_id,
        "model_id": started.model_id,
        "name": started.name,
        "kind": started.kind,
        "state": RUNNING,
        "objective": started.objective,
        "epochs": started.epochs,
        "budget": started.budget,
        "concurrency": started.concurrency,
        "seed": started.seed,
        "pruning": started.pruning,
        "options": started.base,
        "space": msgspec.to_builtins(started.space),
        "trainer": None if started.trainer is None else msgspec.to_builtins(started.trainer),
        "log_position": started.log_position,
        "started_by": recorded.metadata.actor,
        "conclusion": None,
        "created_at": recorded.metadata.occurred_at,
        "created_position": recorded.position,
        "ended_at": None,
        "revision": recorded.originator_version,
        "valid_from": recorded.position,
    }


EXPERIMENTS = ReadModel("experiments_v2", metadata, event_by_event(project), ("experiment.",))
