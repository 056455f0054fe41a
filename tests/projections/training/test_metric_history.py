from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine

from domain.training.version import BatchMetricsRecorded, EpochMetricsRecorded
from projections.training.metric_history import METRIC_HISTORY, Series, series_of
from tests.projections.made_log import MadeLog

LOG = MadeLog()
LOG.add("version-x", BatchMetricsRecorded(0, (0.1, 0.2, 0.3), (3.0, 2.0, 1.0)))
LOG.add("version-y", BatchMetricsRecorded(0, (9.0,), (9.0,)))
LOG.add("version-x", EpochMetricsRecorded(1, 3, 0.5, 0.9, None))
LOG.add("version-x", BatchMetricsRecorded(3, (0.4,), (0.5,)))
LOG.add("version-x", EpochMetricsRecorded(2, 4, 0.25, 0.95, 0.8))


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    LOG.follow(engine, [METRIC_HISTORY])
    with engine.connect() as opened:
        yield opened


def test_each_series_is_whole_and_in_order(connection: Connection) -> None:
    assert series_of(connection, "x") == [
        Series("learning_rate", [1, 2, 3, 4], [0.1, 0.2, 0.3, 0.4], 4),
        Series("batch_loss", [1, 2, 3, 4], [3.0, 2.0, 1.0, 0.5], 4),
        Series("validation_loss", [3, 4], [0.5, 0.25], 5),
        Series("validation_accuracy", [3, 4], [0.9, 0.95], 5),
        Series("validation_mean_average_precision", [4], [0.8], 5),
    ]


def test_what_came_after_a_position_is_asked_for(connection: Connection) -> None:
    assert series_of(connection, "x", after=4) == [
        Series("validation_loss", [4], [0.25], 5),
        Series("validation_accuracy", [4], [0.95], 5),
        Series("validation_mean_average_precision", [4], [0.8], 5),
    ]
    assert series_of(connection, "x", after=5) == []


def test_a_version_without_metrics_has_no_series(connection: Connection) -> None:
    assert series_of(connection, "nothing") == []
