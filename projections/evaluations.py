"""Evaluations: what each version's saved checkpoint comes to, and the thresholds set for it."""

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
    MetaData,
    Table,
    Text,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from domain.event import Recorded
from domain.messages import SplitFigures
from domain.version import ThresholdSet, VersionEvaluated
from projections.read_model import SCHEMA, ReadModel, Write, event_by_event

metadata = MetaData(schema=SCHEMA)

evaluations = Table(
    "evaluations_v1",
    metadata,
    Column("version_id", Text, primary_key=True),
    Column("checkpoint", Text, nullable=False),
    Column("predictions", Text),
    Column("validation", JSONB, nullable=False),
    Column("train", JSONB(none_as_null=True)),
    Column("evaluated_at", DateTime(timezone=True), nullable=False),
    Column("position", BigInteger, nullable=False),
)
thresholds = Table(
    "evaluations_v1_thresholds",
    metadata,
    Column("version_id", Text, primary_key=True),
    Column("concept_id", Text, primary_key=True),
    Column("threshold", Double, nullable=False),
)

_given = insert(evaluations)
_evaluate = _given.on_conflict_do_update(
    index_elements=["version_id"],
    set_={one.name: _given.excluded[one.name] for one in evaluations.c if not one.primary_key},
)
_new = insert(thresholds)
_set = _new.on_conflict_do_update(
    index_elements=["version_id", "concept_id"], set_={"threshold": _new.excluded.threshold}
)


def project(recorded: Recorded) -> Iterator[Write]:
    match recorded.event:
        case VersionEvaluated() as evaluated:
            train = evaluated.train
            yield Write(
                _evaluate,
                {
                    "version_id": recorded.entity_id,
                    "checkpoint": evaluated.checkpoint,
                    "predictions": evaluated.predictions,
                    "validation": msgspec.to_builtins(evaluated.validation),
                    "train": None if train is None else msgspec.to_builtins(train),
                    "evaluated_at": recorded.metadata.occurred_at,
                    "position": recorded.position,
                },
            )
        case ThresholdSet() as changed:
            yield Write(
                _set,
                {
                    "version_id": recorded.entity_id,
                    "concept_id": changed.concept_id,
                    "threshold": changed.threshold,
                },
            )


EVALUATIONS = ReadModel(
    "evaluations_v1",
    metadata,
    event_by_event(project),
    ("version.evaluated", "version.threshold_set"),
)


class EvaluationRow(msgspec.Struct, frozen=True):
    """A version's evaluation. `predictions` is the sha256 of their Parquet file.

    `thresholds` are those that were set, by concept id. Early versions kept no predictions and
    measured no training images.
    """

    version_id: str
    checkpoint: str
    predictions: str | None
    validation: SplitFigures
    train: SplitFigures | None
    evaluated_at: datetime
    position: int
    thresholds: dict[str, float]


def find_evaluation(connection: Connection, version_id: str) -> EvaluationRow | None:
    return find_evaluations(connection, [version_id]).get(version_id)


def find_evaluations(
    connection: Connection, version_ids: Iterable[str]
) -> dict[str, EvaluationRow]:
    """The evaluations of those versions that have one, by version id."""
    wanted = list(version_ids)
    set_for: dict[str, dict[str, float]] = {}
    query = select(thresholds).where(thresholds.c.version_id.in_(wanted))
    for row in connection.execute(query):
        set_for.setdefault(row.version_id, {})[row.concept_id] = row.threshold
    found = connection.execute(select(evaluations).where(evaluations.c.version_id.in_(wanted)))
    return {row.version_id: _row(row._mapping, set_for.get(row.version_id, {})) for row in found}


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
    )
