"""Evaluations: the metrics of each version's saved checkpoint, the thresholds set for it, and the
reports of its worker that were refused."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Double,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    select,
)
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects.postgresql import JSONB, Insert, insert

from domain.event import Recorded
from domain.training.messages import SplitFigures
from domain.training.results import (
    MetricDifference,
    VersionReportRefused,
    VersionResultMeasured,
)
from domain.training.version import ThresholdSet, VersionEvaluated
from projections.engine.history import History, execute_at, valid_from_column
from projections.engine.read_model import SCHEMA, ReadModel, Write, event_by_event

metadata = MetaData(schema=SCHEMA)

evaluations = Table(
    "evaluations_v3",
    metadata,
    Column("version_id", Text, primary_key=True),
    Column("checkpoint", Text, nullable=False),
    Column("predictions", Text),
    Column("validation", JSONB, nullable=False),
    Column("train", JSONB(none_as_null=True)),
    Column("differences", JSONB(none_as_null=True)),
    Column("evaluated_at", DateTime(timezone=True), nullable=False),
    Column("position", BigInteger, nullable=False),
    valid_from_column(),
)
thresholds = Table(
    "evaluations_v3_thresholds",
    metadata,
    Column("version_id", Text, primary_key=True),
    Column("concept_id", Text, primary_key=True),
    Column("threshold", Double, nullable=False),
    valid_from_column(),
)
refusals = Table(
    "evaluations_v3_refusals",
    metadata,
    Column("version_id", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("attempt", Integer, nullable=False),
    Column("report", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("refused_at", DateTime(timezone=True), nullable=False),
)
EVALUATIONS_OF = History(
    evaluations,
    "checkpoint",
    "predictions",
    "validation",
    "train",
    "differences",
    "evaluated_at",
    "position",
)
THRESHOLDS = History(thresholds, "threshold")

_keep_evaluation = EVALUATIONS_OF.keep(evaluations.c.version_id == bindparam("key"))
_keep_threshold = THRESHOLDS.keep(
    (thresholds.c.version_id == bindparam("key"))
    & (thresholds.c.concept_id == bindparam("concept"))
)


def _upsert(table: Table) -> Insert:
    """An insert of a row that replaces the row with the same key."""
    statement = insert(table)
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key.c),
        set_={
            column.name: statement.excluded[column.name]
            for column in table.c
            if not column.primary_key
        },
    )


_evaluate, _set = _upsert(evaluations), _upsert(thresholds)
_refuse = plain_insert(refusals)


def project(recorded: Recorded) -> Iterator[Write]:
    own = {"key": recorded.entity_id, "since": recorded.position}
    match recorded.event:
        case VersionEvaluated() | VersionResultMeasured() as evaluated:
            train = evaluated.train
            found = getattr(evaluated, "differences", None)
            yield Write(_keep_evaluation, own)
            yield Write(
                _evaluate,
                {
                    "version_id": recorded.entity_id,
                    "checkpoint": evaluated.checkpoint,
                    "predictions": evaluated.predictions,
                    "validation": msgspec.to_builtins(evaluated.validation),
                    "train": None if train is None else msgspec.to_builtins(train),
                    "differences": None if found is None else msgspec.to_builtins(found),
                    "evaluated_at": recorded.metadata.occurred_at,
                    "position": recorded.position,
                    "valid_from": recorded.position,
                },
            )
        case VersionReportRefused() as refused:
            yield Write(
                _refuse,
                {
                    "version_id": recorded.entity_id,
                    "position": recorded.position,
                    "attempt": refused.attempt,
                    "report": refused.report,
                    "reason": refused.reason,
                    "refused_at": recorded.metadata.occurred_at,
                },
            )
        case ThresholdSet() as changed:
            yield Write(_keep_threshold, own | {"concept": changed.concept_id})
            yield Write(
                _set,
                {
                    "version_id": recorded.entity_id,
                    "concept_id": changed.concept_id,
                    "threshold": changed.threshold,
                    "valid_from": recorded.position,
                },
            )


EVALUATIONS = ReadModel(
    "evaluations_v3",
    metadata,
    event_by_event(project),
    (
        "version.evaluated",
        "version.threshold_set",
        "version.result_measured",
        "version.report_refused",
    ),
)


class EvaluationRow(msgspec.Struct, frozen=True):
    """A version's evaluation. `predictions` is the sha256 of their Parquet file.

    `thresholds` are those that were set, by concept id. Evaluations of an older Stemma have no
    predictions and no metrics on training images. `differences` are the metrics that the worker
    reported otherwise than the server measured; None if the metrics are the worker's own.
    """

    version_id: str
    checkpoint: str
    predictions: str | None
    validation: SplitFigures
    train: SplitFigures | None
    evaluated_at: datetime
    position: int
    thresholds: dict[str, float]
    differences: list[MetricDifference] | None = None


class RefusalRow(msgspec.Struct, frozen=True):
    """A report that was refused; `report` is its tag, empty if it cannot be read."""

    attempt: int
    report: str
    reason: str
    refused_at: datetime


def find_refusals(
    connection: Connection, version_id: str, *, as_of: int | None = None
) -> list[RefusalRow]:
    """The refused reports of a version, the first one first."""
    own = refusals.c.version_id == version_id
    if as_of is not None:
        own &= refusals.c.position <= as_of
    query = select(refusals).where(own).order_by(refusals.c.position)
    return [
        RefusalRow(row.attempt, row.report, row.reason, row.refused_at)
        for row in connection.execute(query)
    ]


def find_evaluation(
    connection: Connection, version_id: str, *, as_of: int | None = None
) -> EvaluationRow | None:
    return find_evaluations(connection, [version_id], as_of=as_of).get(version_id)


def find_evaluations(
    connection: Connection, version_ids: Iterable[str], *, as_of: int | None = None
) -> dict[str, EvaluationRow]:
    """The evaluations of those versions that have one, by version id.

    `as_of` is a past position of the log.
    """
    ids = list(version_ids)
    evaluations, thresholds = EVALUATIONS_OF.at(as_of), THRESHOLDS.at(as_of)
    set_for: dict[str, dict[str, float]] = {}
    query = select(thresholds).where(thresholds.c.version_id.in_(ids))
    for row in execute_at(connection, query, as_of):
        set_for.setdefault(row.version_id, {})[row.concept_id] = row.threshold
    query = select(evaluations).where(evaluations.c.version_id.in_(ids))
    rows = execute_at(connection, query, as_of)
    return {row.version_id: _row(row._mapping, set_for.get(row.version_id, {})) for row in rows}


def _row(row: Any, set_for: dict[str, float]) -> EvaluationRow:
    return EvaluationRow(
        row["version_id"],
        row["checkpoint"],
        row["predictions"],
        msgspec.convert(row["validation"], SplitFigures),
        msgspec.convert(row["train"], SplitFigures | None),
        row["evaluated_at"],
        row["position"],
        set_for,
        msgspec.convert(row["differences"], list[MetricDifference] | None),
    )
