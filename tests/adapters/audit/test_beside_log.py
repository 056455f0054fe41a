"""The tables beside the log: what contradicts its events is found, and what cannot be read told."""

from pathlib import Path

import psycopg
import pytest

from adapters.audit.beside_log import BesideReport, check_beside
from application.log.store import Store
from tests.adapters.audit.bundles import Exhibit
from tests.adapters.audit.logs import tamper
from tests.servers import Database


@pytest.fixture
def found(store: Store, migrated: Database, tmp_path: Path) -> Exhibit:
    return Exhibit(store, migrated, tmp_path)


def changed(exhibit: Exhibit, statement: str) -> BesideReport:
    with psycopg.connect(exhibit.database.admin_url) as connection:
        connection.execute(statement.encode())
    return check_beside(exhibit.database.app_url)


def test_what_stemma_writes_is_no_contradiction(found: Exhibit) -> None:
    assert check_beside(found.database.app_url) == BesideReport([], [])


def test_a_deleted_command_is_named(found: Exhibit) -> None:
    event = found.store.streams([f"version-{found.version}"])[f"version-{found.version}"][0]
    command = event.metadata.command_id
    report = changed(found, f"DELETE FROM log.commands WHERE command_id = '{command}'")
    [finding] = report.findings
    assert finding.startswith(f"command {command} of event ")
    assert "is missing from log.commands" in finding


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("INSERT INTO log.stemma_tracking VALUES ('erasures', 5000)", "the feed erasures"),
        ("UPDATE log.stemma_tracking SET notification_id = 5000", ""),
        (
            "UPDATE read.positions SET position = 5000 WHERE read_model = 'trail_v2'",
            "the read model trail_v2",
        ),
    ],
)
def test_a_position_beyond_the_log_is_named(found: Exhibit, statement: str, what: str) -> None:
    """The sequence of the workers' reports is none of the log."""
    findings = changed(found, statement).findings
    assert [finding.partition(" claims")[0] for finding in findings] == [what] * bool(what)


def test_a_key_that_is_gone_is_named(found: Exhibit) -> None:
    stream = f"image-{found.scene.images[0]}"
    report = changed(found, f"DELETE FROM log.subject_keys WHERE subject = '{stream}'")
    [finding] = report.findings
    assert finding.startswith(f"the key of {stream} is missing from log.subject_keys")


def test_a_key_that_was_kept_is_named(found: Exhibit) -> None:
    stream = f"image-{found.scene.images[0]}"
    tamper(
        found.database,
        f"UPDATE log.stemma_events SET topic = 'image.erased' WHERE originator_id = '{stream}'"
        " AND originator_version = 2",
    )
    assert check_beside(found.database.app_url).findings == [
        f"log.subject_keys has the key of {stream}, which was erased"
    ]


def test_what_a_role_may_not_read_is_told(found: Exhibit) -> None:
    report = changed(found, "REVOKE SELECT ON log.subject_keys FROM stemma_app")
    assert report == BesideReport(
        [], ["log.subject_keys is not compared: this role may not read it"]
    )


def test_events_that_are_no_json_are_told(found: Exhibit) -> None:
    tamper(
        found.database,
        "UPDATE log.stemma_events SET state = 'nonsense' WHERE notification_id = 3",
    )
    assert [line.split(":")[0] for line in check_beside(found.database.app_url).unchecked] == [
        "log.commands is not compared",
        "log.subject_keys is not compared",
    ]


def test_the_guide_names_every_table(migrated: Database) -> None:
    guide = (Path(__file__).parents[3] / "docs" / "auditor" / "proofs.md").read_text()
    with psycopg.connect(migrated.admin_url) as connection:
        tables = connection.execute(
            "SELECT schemaname || '.' || tablename FROM pg_tables"
            " WHERE schemaname IN ('log', 'work') ORDER BY 1"
        ).fetchall()
    assert [table for (table,) in tables if f"`{table}`" not in guide] == []
