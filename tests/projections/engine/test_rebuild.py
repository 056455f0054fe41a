"""A read model built from nothing is the live one, row by row."""

import threading

import pytest
from sqlalchemy import Engine, text

from adapters.postgres.postgres import passing_engine
from application.log.store import Store
from projections.engine.follow import Follower
from projections.engine.read_model import ReadModel
from projections.registry import READ_MODELS
from projections.training.metric_history import METRIC_HISTORY
from tests.application.scenes import at_once
from tests.projections.engine.rebuilding import compare, rebuild
from tests.projections.engine.test_follow import assert_exactly_the_log, fill, positions
from tests.projections.training.test_metric_history import LOG as METRICS
from tests.servers import Database

each = pytest.mark.parametrize("read_model", READ_MODELS, ids=lambda one: one.name)


def run(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


@each
def test_a_rebuilt_read_model_is_the_live_one(
    store: Store, engine: Engine, read_model: ReadModel
) -> None:
    fill(store, trainings=1)
    Follower(engine, store, READ_MODELS).catch_up()
    assert compare(engine, store, read_model) == []
    assert rebuild(engine, store, read_model) == store.head()
    fill(store, trainings=1)
    Follower(engine, store, READ_MODELS).catch_up()
    assert_exactly_the_log(engine, store)


def test_a_rebuild_brings_what_was_behind_to_the_logs_end(engine: Engine) -> None:
    Follower(engine, METRICS, [METRIC_HISTORY]).catch_up(upto=2)
    assert rebuild(engine, METRICS, METRIC_HISTORY) == len(METRICS.events)
    assert positions(engine)["metric_history_v1"] == len(METRICS.events)
    assert compare(engine, METRICS, METRIC_HISTORY) == []


def test_an_empty_log_is_rebuilt_to_empty_tables(store: Store, engine: Engine) -> None:
    assert rebuild(engine, store, METRIC_HISTORY) == 0
    assert_exactly_the_log(engine, store)


def test_a_read_model_behind_the_log_is_compared_at_its_own_position(engine: Engine) -> None:
    assert compare(engine, METRICS, METRIC_HISTORY) == []
    Follower(engine, METRICS, [METRIC_HISTORY]).catch_up(upto=3)
    assert compare(engine, METRICS, METRIC_HISTORY) == []


def test_a_changed_row_is_found_and_repaired(engine: Engine) -> None:
    METRICS.follow(engine, [METRIC_HISTORY])
    run(engine, "UPDATE read.metric_history_v1 SET values = '{9}' WHERE position = 4")
    [difference] = compare(engine, METRICS, METRIC_HISTORY)
    assert difference.table == "metric_history_v1"
    assert (difference.only_live, difference.only_replayed) == (2, 2)
    assert [(row.key["metric"], row.live, row.replayed) for row in difference.rows] == [
        ("batch_loss", {"values": [9.0]}, {"values": [0.5]}),
        ("learning_rate", {"values": [9.0]}, {"values": [0.4]}),
    ]
    rebuild(engine, METRICS, METRIC_HISTORY)
    assert compare(engine, METRICS, METRIC_HISTORY) == []


@pytest.mark.parametrize(
    ("tampering", "only_live", "only_replayed"),
    [
        ("DELETE FROM read.metric_history_v1 WHERE position = 2", 0, 2),
        (
            "INSERT INTO read.metric_history_v1 VALUES ('z', 'batch_loss', 1, '{1}', '{1}')",
            1,
            0,
        ),
    ],
)
def test_missing_and_added_rows_are_found(
    engine: Engine, tampering: str, only_live: int, only_replayed: int
) -> None:
    METRICS.follow(engine, [METRIC_HISTORY])
    run(engine, tampering)
    [found] = compare(engine, METRICS, METRIC_HISTORY)
    assert (found.only_live, found.only_replayed) == (only_live, only_replayed)
    assert [row.live is not None for row in found.rows] == [True] * only_live + [
        False
    ] * only_replayed


def test_read_models_are_rebuilt_while_the_log_grows_and_is_followed(
    store: Store, engine: Engine, migrated: Database
) -> None:
    written = threading.Event()

    def follow() -> None:
        follower = Follower(passing_engine(migrated.app_url), store, READ_MODELS)
        while not written.is_set():
            follower.catch_up()
        follower.catch_up()

    def write() -> None:
        try:
            for _ in range(3):
                fill(store, trainings=1)
        finally:
            written.set()

    def rebuild_all() -> None:
        while not written.is_set():
            for read_model in READ_MODELS:
                rebuild(passing_engine(migrated.app_url), store, read_model)

    def compare_all() -> None:
        while not written.is_set():
            for read_model in READ_MODELS:
                assert compare(passing_engine(migrated.app_url), store, read_model) == []

    at_once([write, follow, rebuild_all, compare_all])
    Follower(engine, store, READ_MODELS).catch_up()
    assert_exactly_the_log(engine, store)


def test_a_rebuild_that_fails_leaves_the_live_one_alone(engine: Engine) -> None:
    METRICS.follow(engine, [METRIC_HISTORY])

    def project(recorded: object) -> list[object]:
        raise RuntimeError(f"no {recorded}")

    broken = ReadModel(METRIC_HISTORY.name, METRIC_HISTORY.metadata, project)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError):
        rebuild(engine, METRICS, broken)
    assert compare(engine, METRICS, METRIC_HISTORY) == []
