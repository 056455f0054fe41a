"""The history of a version's metrics: each series is stored in arrays, one row for each event."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    insert,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

from domain.event import Recorded
from domain.training.version import BatchMetricsRecorded, EpochMetricsRecorded
from projections.engine.read_model import SCHEMA, ReadModel, Write, parameter_rows, write_rows

LEARNING_RATE, BATCH_LOSS = "learning_rate", "batch_loss"
VALIDATION_LOSS, VALIDATION_ACCURACY = "validation_loss", "validation_accuracy"
VALIDATION_MAP = "validation_mean_average_precision"
METRICS = (LEARNING_RATE, BATCH_LOSS, VALIDATION_LOSS, VALIDATION_ACCURACY, VALIDATION_MAP)
REPORTED = "reported."
"""Before the names of metrics that a trainer reports of its own."""

metadata = MetaData(schema=SCHEMA)

chunks = Table(
    "metric_history_v1",
    metadata,
    Column("version_id", Text, primary_key=True),
    Column("metric", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("iterations", ARRAY(Integer), nullable=False),
    Column("values", ARRAY(Double), nullable=False),
)
"""`iterations[i]` is the number of iterations done when `values[i]` was measured."""

_chunk_rows = parameter_rows(
    version_id=Text,
    metric=Text,
    position=BigInteger,
    iterations=ARRAY(Integer),
    values=ARRAY(Double),
)
_add = insert(chunks).from_select(list(_chunk_rows.c.keys()), select(_chunk_rows))

Row = dict[str, Any]


def project(page: Sequence[Recorded]) -> Iterator[Write]:
    return write_rows(_add, [row for recorded in page for row in _rows(recorded)])


def _rows(recorded: Recorded) -> Iterator[Row]:
    match recorded.event:
        case BatchMetricsRecorded() as batch:
            first = batch.first_iteration + 1
            done = list(range(first, first + len(batch.loss)))
            yield _chunk(recorded, LEARNING_RATE, done, batch.learning_rate)
            yield _chunk(recorded, BATCH_LOSS, done, batch.loss)
        case EpochMetricsRecorded() as epoch:
            done = [epoch.iteration]
            yield _chunk(recorded, VALIDATION_LOSS, done, [epoch.validation_loss])
            accuracy = epoch.validation_accuracy
            if accuracy is not None:
                yield _chunk(recorded, VALIDATION_ACCURACY, done, [accuracy])
            precision = epoch.validation_mean_average_precision
            if precision is not None:
                yield _chunk(recorded, VALIDATION_MAP, done, [precision])
            for name, value in epoch.more.items():
                yield _chunk(recorded, REPORTED + name, done, [value])


def _chunk(recorded: Recorded, metric: str, iterations: list[int], values: Sequence[float]) -> Row:
    return {
        "version_id": recorded.entity_id,
        "metric": metric,
        "position": recorded.position,
        "iterations": iterations,
        "values": values,
    }


METRIC_HISTORY = ReadModel(
    "metric_history_v1",
    metadata,
    project,
    ("version.batch_metrics_recorded", "version.epoch_metrics_recorded"),
)


class Series(msgspec.Struct):
    """A metric's values, each with the number of iterations done when it was measured.

    `position` is that of the last event in it: pass it as `after` for later values. Where `points`
    limits them, `total` is the number of values that these were chosen from, null if they are all,
    and batch loss is `smoothed`: by exponential moving averages over all of these.
    """

    metric: str
    iterations: list[int]
    values: list[float]
    position: int
    total: int | None = None
    smoothed: list[float] | None = None


def series_of(
    connection: Connection, version_id: str, *, after: int = 0, upto: int | None = None
) -> list[Series]:
    """Each metric's values from events at positions above `after`, in order."""
    return series_of_many(connection, [version_id], after=after, upto=upto)[version_id]


def series_of_many(
    connection: Connection,
    version_ids: Collection[str],
    *,
    metrics: Collection[str] | None = None,
    after: int = 0,
    upto: int | None = None,
) -> dict[str, list[Series]]:
    """The same for several versions, by their ids; None for all metrics."""
    query = (
        select(chunks)
        .where(chunks.c.version_id.in_(version_ids), chunks.c.position > after)
        .order_by(chunks.c.version_id, chunks.c.metric, chunks.c.position)
    )
    if metrics is not None:
        query = query.where(chunks.c.metric.in_(metrics))
    if upto is not None:
        query = query.where(chunks.c.position <= upto)
    found: dict[str, dict[str, Series]] = {one: {} for one in version_ids}
    for row in connection.execute(query):
        _extend(found[row.version_id], row.metric, row.position, row.iterations, row.values)
    return {version_id: _in_order(by_metric) for version_id, by_metric in found.items()}


_NEWER = (
    select(chunks.c.metric, chunks.c.position, chunks.c.iterations, chunks.c["values"])
    .where(
        chunks.c.version_id == bindparam("key", type_=Text),
        chunks.c.position > bindparam("after", type_=BigInteger),
    )
    .order_by(chunks.c.metric, chunks.c.position)
)


def newer_query(version_id: str, after: int) -> Write:
    """The query of a version's values from events above a position, for `series_in`."""
    return Write(_NEWER, {"key": version_id, "after": after})


def series_in(rows: Iterable[tuple[Any, ...]], upto: int) -> list[Series]:
    """Each metric's values up to a position, from the rows of `newer_query`."""
    by_metric: dict[str, Series] = {}
    for metric, position, iterations, values in rows:
        if position <= upto:
            _extend(by_metric, metric, position, iterations, values)
    return _in_order(by_metric)


def _extend(
    by_metric: dict[str, Series],
    metric: str,
    position: int,
    iterations: Sequence[int],
    values: Sequence[float],
) -> None:
    series = by_metric.setdefault(metric, Series(metric, [], [], 0))
    series.iterations.extend(iterations)
    series.values.extend(values)
    series.position = position


def _in_order(by_metric: Mapping[str, Series]) -> list[Series]:
    return [by_metric[metric] for metric in in_order(by_metric)]


def in_order(metrics: Collection[str]) -> list[str]:
    """The names of some metrics in the order in which they are shown: a trainer's own come last."""
    return [
        *(metric for metric in METRICS if metric in metrics),
        *sorted(metric for metric in metrics if metric not in METRICS),
    ]
