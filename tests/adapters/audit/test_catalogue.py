"""The log's tables and functions are those that the migrations make, and no look-alikes."""

import psycopg
import pytest

from adapters.audit.catalogue import differences
from tests.servers import Database

EVENTS = "log.stemma_events"
SWAPPED = (
    f"ALTER TABLE {EVENTS} RENAME TO kept",
    f"CREATE VIEW {EVENTS} AS SELECT * FROM log.kept"
    " WHERE notification_id <> 3 OR current_setting('transaction_isolation') = 'repeatable read'",
    f"GRANT SELECT ON {EVENTS} TO PUBLIC",
)


def found_after(database: Database, *statements: str) -> list[str]:
    with psycopg.connect(database.admin_url) as connection:
        for statement in statements:
            connection.execute(statement.encode())
    with psycopg.connect(database.app_url) as connection:
        return differences(connection)


def test_a_migrated_database_is_as_expected(migrated: Database) -> None:
    """If a migration changes the log's objects, write what this prints to catalogue.txt."""
    assert found_after(migrated) == []


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (f"ALTER TABLE {EVENTS} DISABLE TRIGGER append_only", "append_only"),
        (f"ALTER TABLE {EVENTS} ENABLE TRIGGER append_only", "append_only"),
        (f"DROP TRIGGER append_only ON {EVENTS}", "append_only"),
        (
            f"CREATE TRIGGER more BEFORE INSERT ON {EVENTS} FOR EACH ROW"
            " EXECUTE FUNCTION log.refuse_change()",
            "TRIGGER more",
        ),
        (f"CREATE RULE quiet AS ON INSERT TO {EVENTS} DO INSTEAD NOTHING", "the rule quiet"),
        (f"ALTER TABLE {EVENTS} ENABLE ROW LEVEL SECURITY", "row security"),
        (f"CREATE POLICY chosen ON {EVENTS} USING (notification_id <> 3)", "the policy chosen"),
        (f"CREATE TABLE public.more () INHERITS ({EVENTS})", "the child table public.more"),
        (f"ALTER TABLE {EVENTS} SET UNLOGGED", "unlogged"),
        (f"ALTER TABLE {EVENTS} OWNER TO stemma_app", "owned by stemma_app"),
        (f"GRANT UPDATE ON {EVENTS} TO stemma_app", "lets stemma_app UPDATE"),
        (f"ALTER TABLE {EVENTS} ALTER topic DROP NOT NULL", "the column topic text"),
        (f"ALTER TABLE {EVENTS} ADD COLUMN more text", "the column more text"),
        (f"ALTER TABLE {EVENTS} DROP CONSTRAINT stemma_events_position_check", "position_check"),
        ("DROP INDEX log.stemma_events_notification_id_idx", "notification_id_idx"),
        (
            "UPDATE pg_index SET indisvalid = false"
            " WHERE indexrelid = 'log.stemma_events_topic_idx'::regclass",
            "invalid index",
        ),
        ("ALTER TABLE log.checkpoints RENAME COLUMN size TO sizes", "the column sizes"),
        (
            "CREATE OR REPLACE FUNCTION log.refuse_change() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN RETURN NULL; END'",
            "log.refuse_change()",
        ),
        ("ALTER FUNCTION log.project_of COST 5 SECURITY DEFINER", "log.project_of(bytea)"),
    ],
)
def test_a_change_of_the_catalogue_is_found(migrated: Database, statement: str, said: str) -> None:
    found = found_after(migrated, statement)
    assert [line for line in found if said in line], found


def test_a_table_that_was_replaced_by_a_view_is_found(migrated: Database) -> None:
    assert "the catalogue says: log.stemma_events is a view" in found_after(migrated, *SWAPPED)
