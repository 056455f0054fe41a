"""Evaluations on the test set: who ordered each, why, how often before, and what it came to."""

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
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    func,
    insert,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

from domain.event import Recorded
from domain.training.messages import SplitFigures
from domain.training.predictions import (
    VersionTestEvaluated,
    VersionTestEvaluationFailed,
    VersionTestEvaluationRequested,
    VersionTestEvaluationStarted,
)
from projections.engine.history import SINCE, History, execute_at, valid_from_column
from projections.engine.read_model import SCHEMA, ReadModel, Write, event_by_event

QUEUED, RUNNING, DONE, FAILED = "queued", "running", "done", "failed"

metadata = MetaData(schema=SCHEMA)

evaluations = Table(
    "test_evaluations_v2",
    metadata,
    Column("version_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("view_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("earlier_of_version", Integer, nullable=False),
    Column("earlier_of_view", Integer, nullable=False),
    Column("log_position", BigInteger, nullable=False),
    Column("manifest", Text, nullable=False),
    Column("images", Integer, nullable=False),
    Column("checkpoint", Text, nullable=False),
    Column("by_trainer", Boolean, nullable=False),
    Column("worker", Text),
    Column("device", Text),
    Column("metrics", JSONB(none_as_null=True)),
    Column("predictions", Text),
    Column("failure", Text),
    Column("ended_at", DateTime(timezone=True)),
    Column("created_position", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    valid_from_column(),
    Index("test_evaluations_v2_by_view", "view_id", "created_position"),
)
HISTORY = History(
    evaluations,
    "status",
    "worker",
    "device",
    "metrics",
    "predictions",
    "failure",
    "ended_at",
    "position",
    born="created_position",
)

_own = (evaluations.c.version_id == bindparam("key")) & (evaluations.c.number == bindparam("which"))
_request = insert(evaluations)
_start = HISTORY.change(
    _own, status=RUNNING, worker=bindparam("who"), device=bindparam("where"), position=SINCE
)
_evaluate = HISTORY.change(
    _own,
    status=DONE,
    metrics=bindparam("values", type_=JSONB),
    predictions=bindparam("digest"),
    ended_at=bindparam("end"),
    position=SINCE,
)
_fail = HISTORY.change(
    _own, status=FAILED, failure=bindparam("why"), ended_at=bindparam("end"), position=SINCE
)


def project(recorded: Recorded) -> Iterator[Write]:
    at = recorded.metadata.occurred_at
    own = {"key": recorded.entity_id, "since": recorded.position}
    match recorded.event:
        case VersionTestEvaluationRequested() as event:
            yield Write(_request, _row(recorded, event))
        case VersionTestEvaluationStarted() as event:
            who = {"who": event.worker, "where": event.device}
            yield Write(_start, own | {"which": event.number} | who)
        case VersionTestEvaluated() as event:
            values = {
                "values": msgspec.to_builtins(event.metrics),
                "digest": event.predictions,
                "end": at,
            }
            yield Write(_evaluate, own | {"which": event.number} | values)
        case VersionTestEvaluationFailed() as event:
            why = {"why": event.reason, "end": at}
            yield Write(_fail, own | {"which": event.number} | why)


def _row(recorded: Recorded, event: VersionTestEvaluationRequested) -> dict[str, Any]:
    return msgspec.structs.asdict(event) | {
        "version_id": recorded.entity_id,
        "status": QUEUED,
        "requested_by": recorded.metadata.actor,
        "requested_at": recorded.metadata.occurred_at,
        "worker": None,
        "device": None,
        "metrics": None,
        "predictions": None,
        "failure": None,
        "ended_at": None,
        "created_position": recorded.position,
        "position": recorded.position,
        "valid_from": recorded.position,
    }


TEST_EVALUATIONS = ReadModel(
    "test_evaluations_v2", metadata, event_by_event(project), ("version.test_",)
)


class EvaluationOnTestSet(msgspec.Struct, frozen=True):
    """An evaluation of a version on the test set; `status` is queued, running, done or failed.

    `earlier_of_version` and `earlier_of_view` count the evaluations that were requested before, for
    the version and for its view, and had not failed by then. `manifest` is the sha256 of the list
    of its `images` test images, as they were at `log_position`. `by_trainer` is true if a worker
    of the version's trainer predicts, and false if one of Stemma's does. `metrics` and
    `predictions`, the sha256 of their Parquet file, are null until it is done; `failure` unless it
    failed.
    """

    version_id: str
    number: int
    view_id: str
    status: str
    reason: str
    requested_by: str
    requested_at: datetime
    earlier_of_version: int
    earlier_of_view: int
    log_position: int
    manifest: str
    images: int
    checkpoint: str
    by_trainer: bool
    worker: str | None
    device: str | None
    metrics: SplitFigures | None
    predictions: str | None
    failure: str | None
    ended_at: datetime | None
    position: int


def list_evaluations(
    connection: Connection, version_id: str, *, as_of: int | None = None
) -> list[EvaluationOnTestSet]:
    """A version's evaluations on the test set, newest first."""
    rows = HISTORY.at(as_of)
    query = select(rows).where(rows.c.version_id == version_id).order_by(rows.c.number.desc())
    return [_evaluation(row._mapping) for row in execute_at(connection, query, as_of)]


def newest_results(
    connection: Connection, version_ids: Collection[str], *, as_of: int | None = None
) -> dict[str, EvaluationOnTestSet]:
    """The newest evaluation with a result of each of the versions that have one."""
    rows = HISTORY.at(as_of)
    query = (
        select(rows)
        .where(rows.c.version_id.in_(version_ids), rows.c.status == DONE)
        .order_by(rows.c.number)
    )
    found = (_evaluation(row._mapping) for row in execute_at(connection, query, as_of))
    return {row.version_id: row for row in found}


def count_of_view(connection: Connection, view_id: str, *, as_of: int | None = None) -> int:
    """How often the test set was evaluated for a view, without evaluations that failed."""
    rows = HISTORY.at(as_of)
    query = (
        select(func.count())
        .select_from(rows)
        .where(rows.c.view_id == view_id, rows.c.status != FAILED)
    )
    number: int = execute_at(connection, query, as_of).scalar_one()
    return number


def _evaluation(row: Any) -> EvaluationOnTestSet:
    values = {name: row[name] for name in EvaluationOnTestSet.__struct_fields__}
    values["metrics"] = msgspec.convert(values["metrics"], SplitFigures | None)
    return EvaluationOnTestSet(**values)
