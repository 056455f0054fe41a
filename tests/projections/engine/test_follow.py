"""The follow loop: every event once in every read model, whoever runs it and whoever dies."""

import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence

import msgspec
import psycopg
import pytest
from sqlalchemy import Engine, text

import projections.engine.follow
from adapters.postgres.postgres import passing_engine
from adapters.processes.processes import wait_until
from application.log.store import Store
from application.training.ingest import Ingest
from domain.dataset.image import ImageAdded
from domain.event import Recorded
from projections.audit.trail import TRAIL
from projections.dataset.catalog import CATALOG
from projections.dataset.dataset import DATASET
from projections.engine import bulk, failing
from projections.engine.failing import FIRST_PAUSE, LONGEST_PAUSE, failing_among, pause_after
from projections.engine.follow import Advance, Follower, position_of, positions_of
from projections.engine.read_model import CHANNEL, ReadModel, Write, event_by_event
from projections.registry import READ_MODELS
from projections.training.metric_history import METRIC_HISTORY
from tests.application.scenes import Scene, at_once, recorded, trainable
from tests.application.training.reports import delivered, reports, whole_run
from tests.projections.engine.rebuilding import compare
from tests.projections.made_log import MadeLog
from tests.projections.training.test_metric_history import LOG as METRICS
from tests.servers import Database
from tests.waiting import HANG_SECONDS


def positions(engine: Engine) -> dict[str, int]:
    with engine.connect() as connection:
        return dict(positions_of(connection, READ_MODELS))


def fill(store: Store, *, trainings: int = 2) -> Scene:
    """A log in which every read model has something to do."""
    scene = trainable(store)
    for _ in range(trainings):
        version = scene.train()
        run = reports(version, whole_run(epochs=4))
        Ingest(store, f"feed of {version}").take(delivered(run))
        scene.add_images(2)
    return scene


def assert_exactly_the_log(engine: Engine, store: Store) -> None:
    """Every read model is at the log's end and has the rows that a rebuild gives it."""
    assert positions(engine) == {one.name: store.head() for one in READ_MODELS}
    assert [compare(engine, store, one) for one in READ_MODELS] == [[]] * len(READ_MODELS)


def test_read_models_come_to_the_logs_end(store: Store, engine: Engine) -> None:
    fill(store)
    follower = Follower(engine, store, READ_MODELS)
    assert follower.catch_up() == len(READ_MODELS)
    assert follower.catch_up() == 0
    assert_exactly_the_log(engine, store)


def test_read_models_follow_page_by_page(
    store: Store, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projections.engine.follow, "PAGE", 7)
    fill(store, trainings=1)
    pages = Follower(engine, store, READ_MODELS).catch_up()
    assert pages == -(-store.head() // 7) * len(READ_MODELS)
    assert_exactly_the_log(engine, store)


def test_read_models_stop_at_a_position_asked_for(engine: Engine) -> None:
    Follower(engine, METRICS, [METRIC_HISTORY]).catch_up(upto=2)
    assert positions(engine)["metric_history_v1"] == 2
    with engine.connect() as connection:
        assert (
            connection.execute(text("SELECT max(position) FROM read.metric_history_v1")).scalar()
            == 2
        )


@pytest.mark.parametrize("together", [True, False])
def test_listeners_are_notified_once_of_read_models_that_move_together(
    store: Store,
    engine: Engine,
    migrated: Database,
    monkeypatch: pytest.MonkeyPatch,
    together: bool,
) -> None:
    trainable(store)
    monkeypatch.setattr(
        projections.engine.follow, "TOGETHER", store.head() if together else store.head() - 1
    )
    names = [read_model.name for read_model in READ_MODELS]
    with psycopg.connect(migrated.app_url, autocommit=True) as listener:
        listener.execute(f"LISTEN {CHANNEL}")
        assert Follower(engine, store, READ_MODELS).catch_up() == len(READ_MODELS)
        quick = [model.name for model in READ_MODELS if not bulk.reads_images(model)]
        alone = [(name,) for name in names if name not in quick]
        arrived = listener.notifies(
            timeout=HANG_SECONDS, stop_after=1 if together else 1 + len(alone)
        )
        advances = [msgspec.json.decode(notify.payload, type=Advance) for notify in arrived]
    assert [advance.read_models for advance in advances] == (
        [tuple(names)] if together else [tuple(quick), *alone]
    )
    assert {advance.position for advance in advances} == {store.head()}
    assert_exactly_the_log(engine, store)


def test_those_that_read_no_images_do_not_wait_for_those_that_do(
    store: Store, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projections.engine.follow, "PAGE", 10)
    monkeypatch.setattr(projections.engine.follow, "TOGETHER", 5)
    trainable(store)
    Follower(engine, store, READ_MODELS).catch_up()
    added = [
        recorded(f"image-{number}", 1, ImageAdded("p", f"b{number}", 1, 1, "f", {}))
        for number in range(200)
    ]
    store.append(added)
    turns: list[tuple[str, int]] = []

    def moved(read_model: ReadModel, page: Sequence[Recorded], _: int) -> None:
        turns.append((read_model.name, len(page)))

    Follower(engine, store, READ_MODELS, moved).catch_up()
    quick = [model.name for model in READ_MODELS if not bulk.reads_images(model)]
    assert turns[: len(quick)] == [(name, 0) for name in quick], "all at once, reading none"
    slow = [name for name, _ in turns[len(quick) :]]
    until_dataset_ends = slow[: len(slow) - slow[::-1].index(DATASET.name)]
    assert until_dataset_ends.count(DATASET.name) == 20
    assert 5 <= until_dataset_ends.count(TRAIL.name) <= 7, "one of four rounds"
    assert slow.count(TRAIL.name) == 20
    assert_exactly_the_log(engine, store)


def test_a_read_model_that_was_not_made_says_so(engine: Engine) -> None:
    unmade = ReadModel("unmade_v1", CATALOG.metadata, CATALOG.project)
    with pytest.raises(LookupError, match=r"unmade_v1.*stemma migrate"):
        METRICS.follow(engine, [unmade])
    with engine.connect() as connection, pytest.raises(LookupError):
        position_of(connection, "unmade_v1")


def test_runners_at_once_project_each_event_once(
    store: Store, migrated: Database, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projections.engine.follow, "PAGE", 5)
    written = threading.Event()

    def run() -> None:
        follower = Follower(passing_engine(migrated.app_url), store, READ_MODELS)
        while not written.is_set():
            follower.catch_up()
        follower.catch_up()

    def write() -> None:
        fill(store)
        written.set()

    at_once([run, run, run, write])
    assert_exactly_the_log(engine, store)


class Broken(Exception):
    """A defect in a read model."""


def broken_at(read_model: ReadModel, position: int) -> ReadModel:
    """A read model that fails in the middle of an event's writes."""

    def project(recorded: Recorded) -> Iterator[Write]:
        for write in read_model.project([recorded]):
            yield write
            if recorded.position == position:
                raise Broken

    return ReadModel(read_model.name, read_model.metadata, event_by_event(project))


def test_a_failure_within_a_page_leaves_neither_rows_nor_position(engine: Engine) -> None:
    with pytest.raises(Broken) as failed:
        METRICS.follow(engine, [broken_at(METRIC_HISTORY, 4)])
    assert failed.value.__notes__ == ["in read model metric_history_v1"]
    assert positions(engine)["metric_history_v1"] == 0
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM read.metric_history_v1")).scalar() == 0
    METRICS.follow(engine, [METRIC_HISTORY])
    assert compare(engine, METRICS, METRIC_HISTORY) == []


def test_a_failing_read_model_stops_no_other(store: Store, engine: Engine) -> None:
    fill(store, trainings=1)
    first = next(one.position for one in store.read_all(names=["image.added"]))
    models = [broken_at(DATASET, first) if one is DATASET else one for one in READ_MODELS]
    with pytest.raises(Broken):
        Follower(engine, store, models).catch_up()
    found = positions(engine)
    assert found.pop("dataset_v4") == 0
    assert set(found.values()) == {store.head()}
    Follower(engine, store, READ_MODELS).catch_up()
    assert_exactly_the_log(engine, store)


def test_a_failing_read_model_is_left_alone_for_its_pause(
    store: Store, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def project(page: Sequence[Recorded]) -> Iterator[Write]:
        tries.append(len(page))
        raise Broken

    broken = ReadModel(DATASET.name, DATASET.metadata, project)
    follower = Follower(engine, store, [broken if one is DATASET else one for one in READ_MODELS])
    trainable(store)
    follower.keep_up()
    trainable(store)
    follower.keep_up()
    assert len(tries) == 2, "with the others, then alone"
    assert {name for name, at in positions(engine).items() if at < store.head()} == {DATASET.name}
    monkeypatch.setattr(failing, "FIRST_PAUSE", 0.0)
    another = Follower(engine, store, [broken])
    another.keep_up()
    another.keep_up()
    with engine.connect() as connection:
        [found] = failing_among(connection, READ_MODELS)
    assert (found.read_model, found.failures, found.error) == (DATASET.name, 3, "Broken()")
    Follower(engine, store, READ_MODELS).keep_up()
    assert_exactly_the_log(engine, store)
    with engine.connect() as connection:
        assert failing_among(connection, READ_MODELS) == []


def test_pauses_grow_up_to_a_bound() -> None:
    pauses = [pause_after(count) for count in (1, 2, 3, 1000)]
    assert pauses == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE, LONGEST_PAUSE]


def test_a_runner_killed_anywhere_loses_and_doubles_nothing(
    store: Store, engine: Engine, migrated: Database
) -> None:
    fill(store, trainings=6)
    choose = random.Random(1)
    command = [sys.executable, "-m", "tests.projections.engine.run_follower", migrated.app_url]
    for _ in range(4):
        before = sum(positions(engine).values())
        distance = choose.randint(1, 120)
        runner = subprocess.Popen(command)
        try:
            enough = before + distance
            assert wait_until(lambda: sum(positions(engine).values()) >= enough, HANG_SECONDS)  # noqa: B023
        finally:
            runner.send_signal(signal.SIGKILL)
            runner.wait(HANG_SECONDS)
    assert min(positions(engine).values()) < store.head()
    Follower(engine, store, READ_MODELS).catch_up()
    assert_exactly_the_log(engine, store)


def test_a_made_log_is_read_as_the_real_one(store: Store) -> None:
    fill(store, trainings=1)
    made = MadeLog()
    made.events = list(store.read_all())
    for after, limit, upto in ((0, 5, None), (3, 5, 6), (3, 5, 3), (9, 1000, None)):
        assert made.read(after, limit=limit, upto=upto) == store.read(after, limit=limit, upto=upto)
