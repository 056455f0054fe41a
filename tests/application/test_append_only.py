"""The database itself refuses to change or forget an event, whoever asks."""

import psycopg
import pytest
from psycopg import sql

from application.store import Store
from domain.project import ProjectCreated
from tests.application.scenes import recorded
from tests.servers import Database

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
    "SELECT setval('log.stemma_events_notification_id_seq', 1)",
    "ALTER SEQUENCE log.stemma_events_notification_id_seq RESTART",
    "SET session_replication_role = replica",
    "UPDATE log.commands SET result = ''",
    "DELETE FROM log.commands",
    "DELETE FROM log.stemma_tracking",
]


@pytest.fixture
def event(store: Store) -> tuple[object, ...]:
    store.append([recorded("project-1", 1, ProjectCreated("Digits"))])
    return tuple(store.read(0))


def refused(url: str, statement: str) -> str:
    """The database's words when it refuses a statement."""
    with (
        psycopg.connect(url) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege) as error,
    ):
        connection.execute(sql.SQL(statement))
    return str(error.value)


@pytest.mark.parametrize("statement", CHANGES)
def test_the_application_changes_no_event(
    store: Store, event: tuple[object, ...], migrated: Database, statement: str
) -> None:
    refused(migrated.app_url, statement)
    assert tuple(store.read(0)) == event


@pytest.mark.parametrize("statement", CHANGES)
def test_not_even_the_owner_changes_an_event(
    store: Store, event: tuple[object, ...], migrated: Database, statement: str
) -> None:
    assert "append-only" in refused(migrated.admin_url, statement)
    assert tuple(store.read(0)) == event


def test_not_even_a_superuser_who_replays_without_triggers_changes_an_event(
    store: Store, event: tuple[object, ...], migrated: Database
) -> None:
    with psycopg.connect(migrated.admin_url) as connection:
        row = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        assert row.fetchone() == (True,)
        connection.execute("SET session_replication_role = replica")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            connection.execute("DELETE FROM log.stemma_events")
    assert tuple(store.read(0)) == event


@pytest.mark.parametrize("statement", WAYS_AROUND)
def test_the_application_finds_no_way_around(
    event: tuple[object, ...], migrated: Database, statement: str
) -> None:
    assert event
    refused(migrated.app_url, statement)


def test_auditors_read_events_in_sql(event: tuple[object, ...], migrated: Database) -> None:
    assert event
    query = "SELECT position, stream, revision, name, actor, data ->> 'name' FROM log.events"
    with psycopg.connect(migrated.app_url) as connection:
        assert connection.execute(query).fetchall() == [
            (1, "project-1", 1, "project.created", "test", "Digits")
        ]
