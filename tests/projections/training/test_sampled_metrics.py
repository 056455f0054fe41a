"""Series for charts: few points, all of them measured, and none that matters left out."""

import math
import random
from collections.abc import Iterator

import numpy as np
import pytest
from sqlalchemy import Connection, Engine

from domain.training.version import BatchMetricsRecorded, EpochMetricsRecorded
from projections.training.metric_history import METRIC_HISTORY, Series, series_of
from projections.training.sampled_metrics import KEPT, choose, sampled_series_of, smooth
from tests.projections.made_log import MadeLog

CHUNK, CHUNKS = 100, 30
COUNT = CHUNK * CHUNKS
SPIKE = 1234
DRAWN = random.Random(7)
LOSSES = [3.0 / (1 + place / 500) + DRAWN.random() / 10 for place in range(COUNT)]
LOSSES[SPIKE] = 99.0
RATES = [0.1] * COUNT

LOG = MadeLog()
for first in range(0, COUNT, CHUNK):
    part = slice(first, first + CHUNK)
    LOG.add("version-x", BatchMetricsRecorded(first, tuple(RATES[part]), tuple(LOSSES[part])))
LOG.add("version-x", EpochMetricsRecorded(1, COUNT, 0.5, 0.9, None))
END = CHUNKS + 1


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    LOG.follow(engine, [METRIC_HISTORY])
    with engine.connect() as opened:
        yield opened


def test_few_values_are_all_there(connection: Connection) -> None:
    whole = series_of(connection, "x")
    assert sampled_series_of(connection, "x", COUNT, upto=END) == whole
    assert sampled_series_of(connection, "nothing", COUNT, upto=END) == []


def test_points_are_values_of_the_series_with_its_spike_and_both_ends(
    connection: Connection,
) -> None:
    rates, losses, validation, accuracy = sampled_series_of(connection, "x", 100, upto=END)
    assert validation == Series("validation_loss", [COUNT], [0.5], END)
    assert accuracy == Series("validation_accuracy", [COUNT], [0.9], END)
    for series, whole in ((rates, RATES), (losses, LOSSES)):
        assert len(series.values) <= 100
        assert series.total == COUNT
        assert series.position == CHUNKS
        assert series.values == [whole[done - 1] for done in series.iterations]
        assert series.iterations == sorted(set(series.iterations))
        assert (series.iterations[0], series.iterations[-1]) == (1, COUNT)
    assert SPIKE + 1 in losses.iterations
    assert min(losses.values) == min(LOSSES)


def test_it_is_smoothed_over_all_values(connection: Connection) -> None:
    _, losses, *_ = sampled_series_of(connection, "x", 100, upto=END)
    expected = one_by_one(LOSSES)
    assert losses.smoothed == pytest.approx([expected[done - 1] for done in losses.iterations])


def test_newer_values_and_those_up_to_a_position_are_sampled(connection: Connection) -> None:
    _, losses, *_ = sampled_series_of(connection, "x", 100, after=10, upto=20)
    assert (losses.iterations[0], losses.iterations[-1]) == (1001, 2000)
    assert (losses.total, losses.position) == (1000, 20)
    assert losses.smoothed is None, "it would begin anew"


@pytest.mark.parametrize("points", [10, 11, 50, 997])
@pytest.mark.parametrize("count", [1000, 1001, 2500])
@pytest.mark.parametrize("missing", [(), (0,), (3, 4, 500), (998, 999), tuple(range(1000))])
def test_no_spike_and_no_gap_is_hidden(count: int, points: int, missing: tuple[int, ...]) -> None:
    values = np.array([math.sin(place * place) for place in range(count)])
    values[[7, count - 2]] = math.inf, -math.inf
    values[list(missing)] = math.nan
    chosen = choose(values, points)
    assert len(chosen) <= points
    assert list(chosen) == sorted(set(chosen))
    assert {0, count - 1} <= set(chosen.tolist())
    kept = values[chosen]
    number = values[~np.isnan(values)]
    assert np.isnan(kept).any() == bool(missing)
    if len(number):
        assert (np.nanmin(kept), np.nanmax(kept)) == (number.min(), number.max())


@pytest.mark.parametrize("count", [1, 2, 127, 128, 129, 1000])
@pytest.mark.parametrize("odd", [None, math.nan, math.inf])
def test_smoothing_is_the_same_as_one_by_one(count: int, odd: float | None) -> None:
    values = [math.cos(place) + 2 for place in range(count)]
    if odd is not None:
        values[count // 2] = odd
    assert smooth(np.array(values)).tolist() == pytest.approx(one_by_one(values), nan_ok=True)


def one_by_one(values: list[float]) -> list[float]:
    """As the page does it."""
    mean = weight = 0.0
    smoothed = []
    for value in values:
        mean = KEPT * mean + (1 - KEPT) * value
        weight = KEPT * weight + (1 - KEPT)
        smoothed.append(mean / weight)
    return smoothed
