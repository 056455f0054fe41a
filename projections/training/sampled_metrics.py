"""Metric series reduced to as many points as a chart has room for, none of which is made up.

A series is cut into ranges of as many values each. Of each range the least and the greatest value
stay, and the first that is no number, so that no spike and no NaN is hidden.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, cast

import numpy as np
import psycopg
from numpy.typing import NDArray
from sqlalchemy import Connection

from projections.training.metric_history import BATCH_LOSS, Series, chunks, in_order

KEPT = 0.95
"""The weight of what was before in the smoothed values, as in api/static/training/smooth.js."""

FEWEST_POINTS, MOST_POINTS = 10, 10_000

Doubles = NDArray[np.float64]
Part = tuple[str, int, int, bytes]
"""A metric's values from one event: the metric, the position, the iterations done at the first of
them, and the array. They were measured after each iteration from there on."""

_HEADER = 20
"""Bytes before the elements of an array, as PostgreSQL sends it. Each has its length first."""
_DOUBLES = np.dtype([("length", ">i4"), ("value", ">f8")])
_BLOCK = 128
_AS_IF_NONE = 1024
"""So many values later, what a mean began with no longer counts in 64 bits."""

# As bytes: to make a list of a hundred thousand numbers takes longer than to send them.
_PARTS = f"""
    SELECT metric, position, iterations[1], array_send(values) FROM {chunks.fullname}
    WHERE version_id = %s AND position > %s AND position <= %s ORDER BY metric, position
""".encode()


def sampled_series_of(
    connection: Connection, version_id: str, points: int, *, after: int = 0, upto: int
) -> list[Series]:
    """Each metric's values from events at positions above `after`, at most `points` of each."""
    driver = cast("psycopg.Connection[Any]", connection.connection.driver_connection)
    with driver.cursor(binary=True) as cursor:
        parts = cursor.execute(_PARTS, (version_id, after, upto)).fetchall()
    series = {
        metric: _sampled(metric, list(own), points, smoothed=after == 0)
        for metric, own in groupby(parts, itemgetter(0))
    }
    return [series[metric] for metric in in_order(series)]


def _sampled(metric: str, parts: Sequence[Part], points: int, *, smoothed: bool) -> Series:
    sent = b"".join([values[_HEADER:] for _, _, _, values in parts])
    values = np.frombuffer(sent, _DOUBLES)["value"].astype(np.float64)
    done = np.concatenate(list(_iterations(parts)))
    position = parts[-1][1]
    if len(values) <= points:
        return Series(metric, done.tolist(), values.tolist(), position)
    chosen = choose(values, points)
    series = Series(metric, done[chosen].tolist(), values[chosen].tolist(), position, len(values))
    if smoothed and metric == BATCH_LOSS:
        series.smoothed = smooth(values)[chosen].tolist()
    return series


def _iterations(parts: Sequence[Part]) -> Iterator[NDArray[np.int64]]:
    for _, _, first, values in parts:
        yield np.arange(first, first + (len(values) - _HEADER) // _DOUBLES.itemsize)


def choose(values: Doubles, points: int) -> NDArray[np.intp]:
    """The places of at most `points` of more values, in order; both ends are among them."""
    inner = values[1:-1]
    missing = np.isnan(inner)
    ranges = (points - 2) // (3 if missing.any() else 2)
    width = -(-len(inner) // ranges)
    beyond = ranges * width - len(inner)

    def by_range(filled: NDArray[np.generic], padding: float) -> Doubles:
        table: Doubles = np.pad(filled, (0, beyond), constant_values=padding).reshape(ranges, width)
        return table

    number = by_range(~missing, False).any(axis=1)
    gap = by_range(missing, False)
    starts = np.arange(ranges) * width + 1
    least = by_range(np.where(missing, np.inf, inner), np.inf).argmin(axis=1) + starts
    greatest = by_range(np.where(missing, -np.inf, inner), -np.inf).argmax(axis=1) + starts
    first_gap = gap.argmax(axis=1) + starts
    kept = least[number], greatest[number], first_gap[gap.any(axis=1)], [0, len(values) - 1]
    return np.unique(np.concatenate(kept)).astype(np.intp)


def smooth(values: Doubles) -> Doubles:
    """Exponential moving averages without the bias towards their start (Kingma & Ba 2015, section
    3).

    Block by block: within one, the shares of its values are a product with one matrix.
    """
    if not np.isfinite(values).all():
        return _smooth_one_by_one(values)
    blocks = -(-len(values) // _BLOCK)
    padded = np.pad(values, (0, blocks * _BLOCK - len(values))).reshape(blocks, _BLOCK)
    step = np.arange(_BLOCK)
    share = np.tril(KEPT ** np.abs(step[:, None] - step)) * (1 - KEPT)
    means = padded @ share.T
    left = KEPT ** (step + 1)
    before = 0.0
    for block in range(blocks):
        means[block] += before * left
        before = means[block, -1]
    return _unbiased(means.ravel()[: len(values)])


def _smooth_one_by_one(values: Doubles) -> Doubles:
    """The same where one value is no number or infinite: it changes those behind it alone."""
    means, mean = np.empty(len(values)), 0.0
    for place, value in enumerate(values.tolist()):
        mean = KEPT * mean + (1 - KEPT) * value
        means[place] = mean
    return _unbiased(means)


def _unbiased(means: Doubles) -> Doubles:
    means[:_AS_IF_NONE] /= 1 - KEPT ** (np.arange(min(len(means), _AS_IF_NONE)) + 1.0)
    return means
