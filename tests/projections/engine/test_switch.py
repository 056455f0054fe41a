"""A rebuilt read model takes the live one's place beside readers that began before, and stay."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import Connection, Engine, text

import projections.engine.switch
from adapters.postgres.postgres import passing_engine
from adapters.processes.processes import wait_until
from domain.training.version import BatchMetricsRecorded
from projections.engine.follow import Follower, position_of
from projections.engine.scratch import remove_leftovers, running_builds, scratch
from projections.training.metric_history import METRIC_HISTORY, series_of
from tests.projections.engine.rebuilding import compare, rebuild
from tests.projections.made_log import MadeLog
from tests.servers import Database
from tests.waiting import HANG_SECONDS


@pytest.fixture
def log(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> MadeLog:
    monkeypatch.setattr(projections.engine.switch, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(projections.engine.switch, "SNAPSHOT_SECONDS", 0.1)
    made = MadeLog()
    made.add("version-x", BatchMetricsRecorded(0, (0.1,), (3.0,)))
    Follower(engine, made, [METRIC_HISTORY]).catch_up()
    return made


@contextmanager
def reading(url: str) -> Iterator[Connection]:
    """A request's view of the read models: its snapshot begins with their position."""
    snapshots = passing_engine(url, HANG_SECONDS).execution_options(
        isolation_level="REPEATABLE READ"
    )
    with snapshots.connect() as connection:
        position_of(connection, METRIC_HISTORY.name)
        yield connection


def seen(connection: Connection) -> tuple[int, list[float]]:
    position = position_of(connection, METRIC_HISTORY.name)
    [_, losses] = series_of(connection, "x")
    return position, losses.values


def is_waited_for(engine: Engine, pid: int) -> bool:
    """Whether another session wants a lock that this one holds."""
    waiting = text("SELECT FROM pg_stat_activity WHERE :pid = ANY(pg_blocking_pids(pid))")
    with engine.connect() as connection:
        return connection.execute(waiting, {"pid": pid}).first() is not None


def test_a_reader_that_began_before_sees_one_state(
    engine: Engine, migrated: Database, log: MadeLog, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, projections.engine.switch.__name__)
    rebuilding = threading.Thread(
        target=rebuild, args=(passing_engine(migrated.app_url), log, METRIC_HISTORY)
    )
    with reading(migrated.app_url) as early:
        log.add("version-x", BatchMetricsRecorded(1, (0.1,), (2.0,)))
        rebuilding.start()
        assert wait_until(lambda: "a query holds its tables" in caplog.text, HANG_SECONDS)
        assert [one.position for one in running_builds(engine)] == [2]
        assert seen(early) == (1, [3.0])
        with reading(migrated.app_url) as late:
            assert seen(late) == (1, [3.0])
    rebuilding.join(HANG_SECONDS)
    with reading(migrated.app_url) as afterwards:
        assert seen(afterwards) == (2, [3.0, 2.0])


def test_a_reader_that_stays_keeps_no_other_waiting(
    engine: Engine, migrated: Database, log: MadeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The wait for the reader's snapshot would hide that for its table.
    monkeypatch.setattr(projections.engine.switch, "_await_older_snapshots", lambda _: None)
    rebuilding = threading.Thread(
        target=rebuild, args=(passing_engine(migrated.app_url), log, METRIC_HISTORY)
    )
    with reading(migrated.app_url) as long:
        seen(long)
        pid = long.execute(text("SELECT pg_backend_pid()")).scalar_one()
        rebuilding.start()
        for _ in range(5):
            assert wait_until(lambda: is_waited_for(engine, pid), HANG_SECONDS)
            # It queues behind the switch, which gives up its place, and not the first reader.
            with reading(migrated.app_url) as other:
                assert seen(other) == (1, [3.0])
        assert rebuilding.is_alive()
    rebuilding.join(HANG_SECONDS)
    assert not rebuilding.is_alive()


def test_grants_are_kept(engine: Engine, migrated: Database, log: MadeLog) -> None:
    grants = (
        "SELECT privilege_type, grantee FROM pg_class, aclexplode(relacl)"
        " WHERE oid = 'read.metric_history_v1'::regclass ORDER BY 1, 2"
    )
    with psycopg.connect(migrated.app_url) as connection:
        connection.execute("GRANT SELECT ON read.metric_history_v1 TO stemma_app, PUBLIC")
        before = connection.execute(grants).fetchall()
    rebuild(engine, log, METRIC_HISTORY)
    with psycopg.connect(migrated.app_url) as connection:
        assert connection.execute(grants).fetchall() == before


def test_what_was_switched_outlives_a_crash_of_the_server(engine: Engine, log: MadeLog) -> None:
    rebuild(engine, log, METRIC_HISTORY)
    with engine.connect() as connection:
        unlogged = text(
            "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE nspname = 'read' AND relpersistence <> 'p'"
        )
        assert connection.scalars(unlogged).all() == []


def test_only_a_schema_whose_run_is_over_is_a_leftover(
    engine: Engine, migrated: Database, log: MadeLog
) -> None:
    left = "rebuild_0123456789ab"
    with psycopg.connect(migrated.app_url) as connection:
        connection.execute("SELECT work.make_scratch(%s)", (left,))
    with (
        scratch(engine) as running,
        engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
    ):
        # The run itself has removed the leftover.
        schemas = text("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'rebuild%'")
        assert connection.scalars(schemas).all() == [running]
        assert remove_leftovers(connection) == []
        assert connection.scalars(schemas).all() == [running]
    with engine.connect() as connection:
        assert connection.scalars(schemas).all() == []
    assert compare(engine, log, METRIC_HISTORY) == []


@pytest.mark.parametrize("name", ["read", "rebuild_x; DROP TABLE read.positions", "rebuild_"])
def test_no_other_schema_can_be_made(migrated: Database, name: str) -> None:
    with (
        psycopg.connect(migrated.app_url) as connection,
        pytest.raises(psycopg.errors.RaiseException, match="no name of a scratch schema"),
    ):
        connection.execute("SELECT work.make_scratch(%s)", (name,))
