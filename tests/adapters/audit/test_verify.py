"""Whatever a superuser does to the log below its triggers is found, and the first place named."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.audit.checked_checkpoints import Signed
from adapters.audit.signing import new_key, open_checkpoint, sign
from adapters.audit.verify import VerificationReport, verify
from adapters.servers.postgres import EmbeddedPostgres
from application.log.store import Store
from domain.audit.transparency import Checkpoint
from tests.adapters.audit import logs
from tests.adapters.audit.logs import append, tamper
from tests.servers import Database, new_database

EVENTS, KEPT = 620, 600
POSITIONS = st.integers(1, KEPT)

TABLES = ("stemma_events", "checkpoints", "tiles")
COLUMNS = "originator_id, originator_version, topic, state"


def moved(condition: str, by: int) -> list[str]:
    """Move events along the log, in the two steps that its unique index asks for."""
    return [
        "UPDATE log.stemma_events SET notification_id = -notification_id"
        f" WHERE notification_id {condition}",
        f"UPDATE log.stemma_events SET notification_id = {by} - notification_id"
        " WHERE notification_id < 0",
    ]


class Kept:
    """A log with a checkpoint that an auditor keeps, over all but the last events."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.log = logs.Signed(database, folder)
        store = Store(database.app_url)
        for number in range(KEPT // 10):
            append(store, 10, f"project-{number % 7}")
        self.checkpoint = self.log.sign()
        append(store, EVENTS - KEPT, "project-9")
        self.log.sign()
        store.close()
        tamper(database, *(f"CREATE TABLE kept_{name} AS TABLE log.{name}" for name in TABLES))

    def restore(self) -> None:
        for name in TABLES:
            tamper(
                self.log.database,
                f"TRUNCATE log.{name}",
                f"INSERT INTO log.{name} OVERRIDING SYSTEM VALUE SELECT * FROM kept_{name}",
            )

    def verify(self, *others: Checkpoint) -> VerificationReport:
        given = [Signed(one, "the kept one") for one in (self.checkpoint, *others)]
        return verify(self.log.database.app_url, self.log.keys.verifiers(), given)

    def found_after(self, *statements: str) -> str:
        """What is found first of a change, by the kept checkpoint and by nothing else."""
        tamper(self.log.database, "DELETE FROM log.checkpoints", *statements)
        contradiction, located, *_ = self.verify().findings
        assert contradiction.startswith(f"the kept one was signed over {KEPT} other events")
        return located


@pytest.fixture(scope="module")
def made(
    postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kept]:
    with new_database(postgres, migrated_template) as database:
        yield Kept(database, tmp_path_factory.mktemp("audit"))


@pytest.fixture
def kept(made: Kept) -> Kept:
    made.restore()
    return made


def test_a_log_that_nobody_changed_is_as_it_was_signed(kept: Kept) -> None:
    report = kept.verify()
    assert report.findings == []
    assert (report.events, report.root) == (EVENTS, kept.log.roots()[-1])
    assert (report.stored, report.covered) == (2, EVENTS)


tampering = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@tampering
@given(POSITIONS, st.integers(0, 5000), st.integers(1, 255))
def test_a_flipped_byte(kept: Kept, position: int, place: int, by: int) -> None:
    kept.restore()
    byte = f"{place} % length(state)"
    found = kept.found_after(
        f"UPDATE log.stemma_events SET state = set_byte(state, {byte}, get_byte(state, {byte})"
        f" # {by}) WHERE notification_id = {position}"
    )
    assert found.startswith(f"event {position} (")
    assert found.endswith("was altered")


@tampering
@given(
    POSITIONS,
    st.sampled_from(
        [
            "topic = topic || 'x'",
            "originator_id = 'a-1'",
            "originator_version = 900",
            "topic = E'\\n'",
        ]
    ),
)
def test_a_change_beside_the_payload(kept: Kept, position: int, change: str) -> None:
    kept.restore()
    found = kept.found_after(
        f"UPDATE log.stemma_events SET {change} WHERE notification_id = {position}"
    )
    assert found.startswith(f"event {position} (")
    assert found.endswith("was altered")


@tampering
@given(POSITIONS, st.booleans())
def test_a_dropped_event(kept: Kept, position: int, closed: bool) -> None:
    """With the gap left open, or closed by moving the others up."""
    kept.restore()
    found = kept.found_after(
        f"DELETE FROM log.stemma_events WHERE notification_id = {position}",
        *(moved(f"> {position}", -1) if closed else []),
    )
    assert found.startswith(f"event {position} was removed")


@tampering
@given(st.lists(POSITIONS, min_size=2, max_size=2, unique=True))
def test_two_events_swapped(kept: Kept, positions: list[int]) -> None:
    kept.restore()
    first, second = sorted(positions)
    found = kept.found_after(
        *moved(f"= {first}", 10_000),
        *moved(f"= {second}", first - second),
        *moved(f"= {first + 10_000}", second - first - 10_000),
    )
    assert found.startswith(f"event {first} was reordered: it is now at position {second}")


@tampering
@given(POSITIONS)
def test_an_inserted_event(kept: Kept, position: int) -> None:
    kept.restore()
    found = kept.found_after(
        *moved(f">= {position}", 1),
        f"INSERT INTO log.stemma_events (notification_id, {COLUMNS})"
        f" SELECT {position}, 'project-77', 1, topic, state FROM log.stemma_events LIMIT 1",
    )
    assert found.startswith(f"event {position} (")
    assert f"was inserted: what was event {position} is now at position {position + 1}" in found


@tampering
@given(POSITIONS)
def test_a_tail_cut_off(kept: Kept, position: int) -> None:
    kept.restore()
    found = kept.found_after(f"DELETE FROM log.stemma_events WHERE notification_id >= {position}")
    if position == 1:
        assert found == "every event was removed: the log is empty"
    elif position == KEPT:
        assert found == f"the end was cut off: event {KEPT} was removed"
    else:
        assert found == f"the end was cut off: events {position} to {KEPT} were removed"


def test_a_tail_cut_off_after_the_kept_checkpoint_is_found_by_what_is_stored(kept: Kept) -> None:
    tamper(
        kept.log.database,
        f"DELETE FROM log.checkpoints WHERE size > {KEPT}",
        "DELETE FROM log.stemma_events WHERE notification_id > 610",
    )
    [found] = kept.verify().findings
    assert found.startswith("the log ends with event 610, and hashes of 620 are stored")


def test_of_several_changes_the_first_is_named(kept: Kept) -> None:
    found = kept.found_after(
        *(
            f"UPDATE log.stemma_events SET state = state || ' ' WHERE notification_id = {position}"
            for position in (500, 77, 301)
        )
    )
    assert found.startswith("event 77 (")


def test_where_the_stored_hashes_were_changed_too_kept_checkpoints_narrow_it_down(
    kept: Kept,
) -> None:
    roots = kept.log.roots()
    between = [Checkpoint("stemma.test/log", size, roots[size]) for size in (100, 250, 400)]
    tamper(
        kept.log.database,
        "UPDATE log.stemma_events SET state = state || ' ' WHERE notification_id = 300",
        "UPDATE log.tiles SET hashes = set_byte(hashes, 0, 0)",
    )
    _, found, *_ = kept.verify(*between).findings
    assert found.startswith("the first one that was changed is among events 251 to 400")
    assert "the stored hashes were changed too" in found


def test_changed_hashes_over_unchanged_events_are_told_from_the_reverse(kept: Kept) -> None:
    tamper(
        kept.log.database,
        "UPDATE log.tiles SET hashes = set_byte(hashes, 64, 1 - get_byte(hashes, 64) % 2)"
        " WHERE level = 0 AND number = 1",
    )
    [found] = kept.verify().findings
    assert found.startswith("the stored hash of event 259 is not its own")


def test_a_checkpoint_of_another_log_is_contradicted(kept: Kept) -> None:
    other = Checkpoint("stemma.test/log", 10, bytes(32))
    contradiction, split, *_ = kept.verify(other).findings
    assert contradiction.startswith("the kept one was signed over 10 other events")
    assert split.startswith(f"the log agrees with a checkpoint over {EVENTS} events: they belong")


def test_a_stored_checkpoint_that_the_log_did_not_sign_is_named(kept: Kept) -> None:
    roots = kept.log.roots()
    forged = Checkpoint("stemma.test/log", 5, roots[5])
    note = str(sign(forged.text(), [new_key("stemma.test/log")]))
    insert = (
        "INSERT INTO log.checkpoints (origin, size, root, note, note_sha256)"
        " VALUES ('stemma.test/log', 5, '', %s, '')"
    )
    with psycopg.connect(kept.log.database.app_url) as connection:
        connection.execute(insert, (note,))
    [found] = kept.verify().findings
    assert "is not signed correctly: it was signed by" in found


def test_an_event_that_was_added_by_hand_is_not_what_stemma_writes(kept: Kept) -> None:
    tamper(
        kept.log.database,
        f"INSERT INTO log.stemma_events (notification_id, {COLUMNS})"
        f" SELECT {EVENTS + 1}, 'project-1', 900, 'view.created', state"
        " FROM log.stemma_events WHERE notification_id = 1",
        f"INSERT INTO log.stemma_events (notification_id, {COLUMNS})"
        f" VALUES ({EVENTS + 2}, 'project-78', 1, 'view.created', 'nonsense')",
    )
    assert [finding.split(":")[0] for finding in kept.verify().findings] == [
        "event 621 is stored as view.created and contains another event",
        "event 622 does not contain an event",
        "the revisions of project-1 have a gap",
    ]


def test_events_in_the_wrong_order_after_the_last_checkpoint(kept: Kept) -> None:
    state = "(SELECT state FROM log.stemma_events WHERE notification_id = 1)"
    for position, revision in ((EVENTS + 1, 2), (EVENTS + 2, 1)):
        tamper(
            kept.log.database,
            f"INSERT INTO log.stemma_events (notification_id, {COLUMNS}) VALUES"
            f" ({position}, 'project-79', {revision}, 'project.renamed', {state})",
        )
    assert kept.verify().findings == [
        f"event {EVENTS + 1} comes before an earlier one of project-79"
    ]


@pytest.mark.parametrize("position", [0, -5])
def test_an_event_before_the_first_position(kept: Kept, position: int) -> None:
    tamper(
        kept.log.database,
        f"INSERT INTO log.stemma_events (notification_id, {COLUMNS})"
        f" SELECT {position}, originator_id, originator_version + 1, topic, state"
        " FROM log.stemma_events WHERE originator_id = 'project-9'"
        " ORDER BY originator_version DESC LIMIT 1",
    )
    assert kept.verify().findings == [
        f"an event of project-9 is at position {position}: the log begins at 1"
    ]


def test_only_a_signed_checkpoint_is_taken(kept: Kept) -> None:
    for note in kept.log.notes():
        assert open_checkpoint(note, kept.log.keys.verifiers())
