"""`stemma audit replay` and `stemma rebuild` as users run them, and killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg import sql
from sqlalchemy import Engine

from adapters.postgres.postgres import engine_for
from adapters.processes.processes import wait_until
from adapters.servers.postgres import EmbeddedPostgres
from application.log.store import Store
from benchmarks.sample_events import copy_all
from benchmarks.sample_log import log_of_teams
from cli.main import main
from projections.dataset.dataset import DATASET
from projections.engine.follow import Follower
from projections.engine.scratch import running_builds
from projections.registry import READ_MODELS
from tests.projections.engine.test_follow import fill, positions
from tests.servers import Database, new_database
from tests.waiting import HANG_SECONDS

Stemma = Callable[..., Result]


@pytest.fixture
def stemma(migrated: Database, monkeypatch: pytest.MonkeyPatch) -> Stemma:
    monkeypatch.setenv("STEMMA_DATABASE_URL", migrated.app_url)
    return lambda *arguments: CliRunner().invoke(main, arguments)


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(sql.SQL(query)).fetchall()


def scratch_schemas(database: Database) -> list[tuple[object, ...]]:
    return rows(database.app_url, "SELECT nspname FROM pg_namespace WHERE nspname ~ '^rebuild'")


def test_every_read_model_equals_its_replay(
    store: Store, engine: Engine, migrated: Database, stemma: Stemma
) -> None:
    fill(store, trainings=1)
    Follower(engine, store, READ_MODELS).catch_up()
    done = stemma("audit", "replay")
    assert done.exit_code == 0, done.output
    for read_model in READ_MODELS:
        assert f"{read_model.name}: equal to a replay up to position {store.head()}" in done.output
    assert scratch_schemas(migrated) == []


def test_what_differs_is_shown_as_a_diff_and_fails(
    store: Store, engine: Engine, migrated: Database, stemma: Stemma
) -> None:
    scene = fill(store, trainings=1)
    Follower(engine, store, READ_MODELS).catch_up()
    with psycopg.connect(migrated.app_url) as connection:
        connection.execute("UPDATE read.catalog_v4_projects SET name = 'Other'")
        connection.execute("DELETE FROM read.catalog_v4_views")
    done = stemma("audit", "replay", "catalog_v4", "imports_v2")
    assert done.exit_code == 1
    lines = done.output.splitlines()
    place = lines.index(f'  project_id = "{scene.project}"')
    assert lines[place - 1].startswith(
        "catalog_v4_projects differs from a replay: 1 rows only live"
    )
    assert lines[place + 1 : place + 3] == ['    - name = "Other"', '    + name = "Digits"']
    place = lines.index(f'  view_id = "{scene.view}"')
    assert lines[place - 1].endswith(": 0 rows only live (-), 1 only replayed (+)")
    assert '"classification"' in lines[place + 1]
    assert f"imports_v2: equal to a replay up to position {store.head()}, row by row" in lines


def test_a_past_position_is_told_by_digests(store: Store, engine: Engine, stemma: Stemma) -> None:
    fill(store, trainings=1)
    Follower(engine, store, READ_MODELS).catch_up(upto=30)
    at_30 = stemma("audit", "replay", "dataset_v4", "--to", "30")
    assert at_30.exit_code == 0, at_30.output
    assert "dataset_v4: equal to a replay up to position 30, row by row" in at_30.output
    Follower(engine, store, READ_MODELS).catch_up()
    later = stemma("audit", "replay", "dataset_v4", "--to", "30")
    assert later.exit_code == 0, later.output
    head = store.head()
    assert (
        f"dataset_v4: replayed up to position 30; not compared, because the live one is at {head}"
        in later.output
    )
    assert _digests(later) == _digests(at_30) != []
    assert _digests(stemma("audit", "replay", "dataset_v4", "--to", "20")) != _digests(at_30)
    beyond = stemma("audit", "replay", "--to", str(head + 1))
    assert beyond.exit_code == 2
    assert f"the log ends at position {head}" in beyond.output


def test_a_live_position_beyond_the_log_is_no_equality(
    store: Store, engine: Engine, migrated: Database, stemma: Stemma
) -> None:
    fill(store, trainings=1)
    Follower(engine, store, READ_MODELS).catch_up()
    with psycopg.connect(migrated.app_url) as connection:
        connection.execute(
            "UPDATE read.positions SET position = 5000 WHERE read_model = 'imports_v2'"
        )
    done = stemma("audit", "replay", "imports_v2")
    assert done.exit_code == 1, done.output
    assert "imports_v2: the live one is at position 5000, beyond the log's end" in done.output
    assert "equal to a replay" not in done.output


def _digests(done: Result) -> list[str]:
    return [line for line in done.output.splitlines() if line.startswith("  ")]


def test_names_are_those_of_read_models(stemma: Stemma) -> None:
    for command in (["audit", "replay"], ["rebuild"]):
        refused = stemma(*command, "nothing_v1")
        assert refused.exit_code == 2
        assert "nothing_v1: choose from catalog_v4" in refused.output


def test_a_rebuild_says_how_far_it_came(store: Store, engine: Engine, stemma: Stemma) -> None:
    fill(store, trainings=1)
    Follower(engine, store, READ_MODELS).catch_up(upto=20)
    done = stemma("rebuild", "dataset_v4")
    assert done.stdout == f"dataset_v4: rebuilt up to position {store.head()}\n"
    assert positions(engine)["dataset_v4"] == store.head()


@pytest.fixture(scope="module")
def long_followed(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """A template with a log of more than one page, and the dataset at its end."""
    with new_database(postgres, migrated_template) as made:
        copy_all(made.admin_url, log_of_teams(12_000))
        store, engine = Store(made.app_url), engine_for(made.app_url)
        Follower(engine, store, [DATASET]).catch_up()
        engine.dispose()
        store.close()
        yield made.name


@pytest.fixture
def long(postgres: EmbeddedPostgres, long_followed: str) -> Iterator[Database]:
    with new_database(postgres, long_followed) as made:
        yield made


@pytest.mark.parametrize(
    ("command", "number"),
    [
        (["audit", "replay", "dataset_v4"], signal.SIGKILL),
        (["audit", "replay", "dataset_v4"], signal.SIGTERM),
        (["rebuild", "dataset_v4"], signal.SIGKILL),
        (["rebuild", "dataset_v4"], signal.SIGINT),
    ],
    ids=lambda one: one[0] if isinstance(one, list) else one.name,
)
def test_a_run_that_is_ended_leaves_the_live_read_model_alone(
    long: Database,
    monkeypatch: pytest.MonkeyPatch,
    stemma: Stemma,
    command: list[str],
    number: signal.Signals,
) -> None:
    monkeypatch.setenv("STEMMA_DATABASE_URL", long.app_url)
    engine = engine_for(long.app_url)
    live = "SELECT 'read.dataset_v4_images'::regclass::oid"
    before = rows(long.app_url, live)
    # It gets no further than its first page: whatever the machine does meanwhile.
    with psycopg.connect(long.admin_url) as blocker:
        run = subprocess.Popen([sys.executable, "-m", "cli.main", *command], env=dict(os.environ))
        try:
            assert wait_until(lambda: any(at > 0 for _, at in running_builds(engine)), HANG_SECONDS)
            blocker.execute("LOCK TABLE log.stemma_events IN ACCESS EXCLUSIVE MODE")
        finally:
            run.send_signal(number)
            run.wait(HANG_SECONDS)
    assert run.returncode != 0
    if number != signal.SIGKILL:
        assert scratch_schemas(long) == []
    assert rows(long.app_url, live) == before
    done = stemma("audit", "replay", "dataset_v4")
    assert done.exit_code == 0, done.output
    assert scratch_schemas(long) == []
    engine.dispose()
