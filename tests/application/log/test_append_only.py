"""The database itself refuses to change or forget an event, whoever asks."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from adapters.servers.postgres import EmbeddedPostgres
from application.log.store import Store
from domain.dataset.project import ProjectCreated
from tests.application.scenes import recorded
from tests.servers import Database, new_database

CHANGES = [
    "UPDATE log.stemma_events SET topic = 'other'",
    "UPDATE log.stemma_events SET topic = 'other' WHERE false",
    "DELETE FROM log.stemma_events",
    "DELETE FROM log.stemma_events WHERE false",
    "TRUNCATE log.stemma_events",
    "TRUNCATE log.stemma_events CASCADE",
    "INSERT INTO log.stemma_events SELECT * FROM log.stemma_events"
    " ON CONFLICT (notification_id) DO UPDATE SET topic = 'other'",
    "MERGE INTO log.stemma_events AS old USING log.stemma_events AS new"
    " ON old.notification_id = new.notification_id WHEN MATCHED THEN DELETE",
]
WAYS_AROUND = [
    "ALTER TABLE log.stemma_events DISABLE TRIGGER append_only",
    "ALTER TABLE log.stemma_events DISABLE TRIGGER ALL",
    "DROP TRIGGER append_only ON log.stemma_events",
    "CREATE OR REPLACE FUNCTION log.refuse_change() RETURNS trigger LANGUAGE plpgsql"
    " AS 'BEGIN RETURN NEW; END'",
    "ALTER TABLE log.stemma_events ALTER topic DROP NOT NULL",
    "ALTER TABLE log.stemma_events RENAME TO other",
    "CREATE RULE silent AS ON INSERT TO log.stemma_events DO INSTEAD NOTHING",
    "DROP TABLE log.stemma_events",
    "DROP SCHEMA log CASCADE",
    "CREATE TABLE log.more (a int)",
    "INSERT INTO log.stemma_events VALUES ('project-2', 1, 'project.created', '', 7)",
    "INSERT INTO log.commands (command_id, fingerprint, result) VALUES ('c', '', '')",
    "INSERT INTO log.stemma_tracking VALUES ('feed', 7)",
    "CREATE OR REPLACE FUNCTION log.append() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "SET session_replication_role = replica",
    "UPDATE log.commands SET result = ''",
    "DELETE FROM log.commands",
    "DELETE FROM log.stemma_tracking",
]


@pytest.fixture(scope="module")
def filled(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[Database]:
    """A log of one event, shared by all tests here since none of them is to change it."""
    with new_database(postgres, migrated_template) as made:
        store = Store(made.app_url)
        store.append([recorded("project-1", 1, ProjectCreated("Digits"))])
        store.close()
        yield made


def events(database: Database) -> list[tuple[object, ...]]:
    with psycopg.connect(database.admin_url) as connection:
        return connection.execute("SELECT * FROM log.stemma_events").fetchall()


def refused(url: str, statement: str) -> str:
    """The database's words when it refuses a statement."""
    with (
        psycopg.connect(url) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege) as error,
    ):
        connection.execute(sql.SQL(statement))
    return str(error.value)


@pytest.mark.parametrize("statement", CHANGES)
def test_the_application_changes_no_event(filled: Database, statement: str) -> None:
    before = events(filled)
    refused(filled.app_url, statement)
    assert events(filled) == before


@pytest.mark.parametrize("statement", CHANGES)
def test_not_even_the_owner_changes_an_event(filled: Database, statement: str) -> None:
    before = events(filled)
    assert "append-only" in refused(filled.admin_url, statement)
    assert events(filled) == before


def test_not_even_a_superuser_who_replays_without_triggers_changes_an_event(
    filled: Database,
) -> None:
    before = events(filled)
    with psycopg.connect(filled.admin_url) as connection:
        row = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        assert row.fetchone() == (True,)
        connection.execute("SET session_replication_role = replica")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            connection.execute("DELETE FROM log.stemma_events")
    assert events(filled) == before


@pytest.mark.parametrize("statement", WAYS_AROUND)
def test_the_application_finds_no_way_around(filled: Database, statement: str) -> None:
    refused(filled.app_url, statement)


def test_auditors_read_events_in_sql(filled: Database) -> None:
    query = "SELECT position, stream, revision, name, actor, data ->> 'name' FROM log.events"
    with psycopg.connect(filled.app_url) as connection:
        assert connection.execute(query).fetchall() == [
            (1, "project-1", 1, "project.created", "test", "Digits")
        ]
