"""`stemma migrate`: from any earlier state to what this program needs, and no further."""

import psycopg
import pytest
from psycopg import sql

from adapters.postgres.migrate import migrate
from adapters.postgres.postgres import passing_engine
from application.log.store import Store
from domain.dataset.project import ProjectCreated
from projections.engine.follow import Follower
from projections.registry import READ_MODELS
from tests.application.scenes import at_once, recorded
from tests.servers import Database

STRUCTURE = """
    SELECT table_schema, table_name, column_name, data_type, is_nullable
    FROM information_schema.columns
    WHERE table_schema = 'log' OR table_schema ~ '^(read|rebuild)'
    ORDER BY 1, 2, 3
"""


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(sql.SQL(query)).fetchall()


def test_an_empty_database_becomes_ready(database: Database) -> None:
    engine = passing_engine(database.app_url)
    migrate(database.admin_url, database.app_url)
    store = Store(database.app_url)
    assert store.append([recorded("project-1", 1, ProjectCreated("Digits"))]) == 1
    assert Follower(engine, store, READ_MODELS).catch_up() == len(READ_MODELS)
    store.close()


def test_migrating_again_changes_nothing(migrated: Database, store: Store) -> None:
    store.append([recorded("project-1", 1, ProjectCreated("Digits"))])
    engine = passing_engine(migrated.app_url)
    Follower(engine, store, READ_MODELS).catch_up()
    tables, positions = rows(migrated.admin_url, STRUCTURE), "SELECT * FROM read.positions"
    before = sorted(rows(migrated.app_url, positions))
    migrate(migrated.admin_url, migrated.app_url)
    assert rows(migrated.admin_url, STRUCTURE) == tables
    assert sorted(rows(migrated.app_url, positions)) == before
    assert [one.position for one in store.read(0)] == [1]


def test_migrating_twice_at_once_is_migrating_once(database: Database, migrated: Database) -> None:
    at_once([lambda: migrate(database.admin_url, database.app_url)] * 3)
    assert rows(database.admin_url, STRUCTURE) == rows(migrated.admin_url, STRUCTURE)


def test_a_login_role_that_is_not_there_is_made_without_rights_to_the_log(
    database: Database,
) -> None:
    role = f"app_{database.name[-8:]}"
    host = database.app_url.split("@")[1]
    url = f"postgresql://{role}:it's+secret@{host}"
    migrate(database.admin_url, url)
    store = Store(url)
    store.append([recorded("project-1", 1, ProjectCreated("Digits"))])
    store.close()
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        rows(url, "DELETE FROM log.stemma_events")


def test_one_role_for_everything_works_too(database: Database) -> None:
    migrate(database.admin_url, database.admin_url)
    store = Store(database.admin_url)
    assert store.append([recorded("project-1", 1, ProjectCreated("Digits"))]) == 1
    store.close()
