"""An insider with the superuser's password tampers, with triggers off, in any composition.

Verify alone finds it, but for what docs/auditor/proofs.md names: that needs a checkpoint that was
kept outside.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.audit.checked_checkpoints import Signed as Kept
from adapters.audit.records import file_record
from adapters.audit.stored import END, leaf_of, load_tree, page_of_events, save_tiles
from adapters.audit.verify import verify
from adapters.servers.postgres import EmbeddedPostgres
from application.log.store import Store
from tests.adapters.audit.logs import Signed, append, tamper
from tests.adapters.audit.test_catalogue import SWAPPED
from tests.servers import Database, new_database

SIGNED, EVENTS = 40, 43
COLUMNS = "notification_id, originator_id, originator_version, topic, state"


class Insider:
    """A copy of a log that was signed over every tenth event, and whoever owns the machine."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.log = Signed(database, folder)
        self.kept = self.log.checkpoints()

    def sql(self, *statements: str) -> None:
        tamper(self.database, *statements)

    def recompute_tiles(self) -> None:
        with psycopg.connect(self.database.admin_url) as connection:
            connection.execute("DELETE FROM log.tiles")
            tree = load_tree(connection)
            full = tree.extend(b"".join(map(leaf_of, page_of_events(connection, 0, END))))
            save_tiles(connection, [*full, *tree.partial()])

    def catalogue(self, *statements: str) -> None:
        with psycopg.connect(self.database.admin_url) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def swap_table(self) -> None:
        self.catalogue(*SWAPPED)

    def forget(self, size: int) -> None:
        """Delete each checkpoint over as many events or more, from the table and from the file."""
        self.sql(f"DELETE FROM log.checkpoints WHERE size >= {size}")
        notes = zip(self.log.notes(), self.log.checkpoints(), strict=True)
        self.log.file.path.write_text("".join(note for note, at in notes if at.size < size))

    def found(self, *, kept: bool = False) -> list[str]:
        given = [Kept(one, "the kept one") for one in self.kept] if kept else []
        records = [file_record(self.log.file.path)]
        return verify(self.database.app_url, self.log.keys.verifiers(), given, records).findings


def added(position: int) -> str:
    return (
        f"INSERT INTO log.stemma_events ({COLUMNS}) SELECT {position}, 'project-{position}', 1,"
        " topic, state FROM log.stemma_events WHERE notification_id = 1"
    )


def at(positions: str, change: str) -> str:
    return f"UPDATE log.stemma_events SET {change} WHERE notification_id {positions}"


Tampering = Callable[[Insider], object]

TAMPERINGS: dict[str, tuple[Tampering, str]] = {
    "a row at position 0": (lambda by: by.sql(added(0)), "is at position 0"),
    "a row at position -5": (lambda by: by.sql(added(-5)), "is at position -5"),
    "a row beyond the head": (lambda by: by.sql(added(EVENTS + 9)), "event 44 is missing"),
    "an event altered": (
        lambda by: by.sql(at("= 17", "state = state || ' '")),
        "event 17 (project.renamed, revision 17 of project-1) was altered",
    ),
    "an event removed": (
        lambda by: by.sql("DELETE FROM log.stemma_events WHERE notification_id = 23"),
        "event 23 was removed",
    ),
    "the signed end altered": (
        lambda by: by.sql(at(f"= {SIGNED}", "state = state || ' '")),
        f"event {SIGNED} (project.renamed, revision {SIGNED} of project-1) was altered",
    ),
    "the signed end removed": (
        lambda by: by.sql("DELETE FROM log.stemma_events WHERE notification_id > 35"),
        "events 36 to 40 were removed",
    ),
    "the unsigned end in another order": (
        lambda by: by.sql(
            at("= 42", "notification_id = 1000"),
            at("= 43", "notification_id = 42"),
            at("= 1000", "notification_id = 43"),
        ),
        "event 42 comes before an earlier one of project-1",
    ),
    "all removed": (lambda by: by.sql("DELETE FROM log.stemma_events"), "every event was removed"),
    "a stored checkpoint deleted": (
        lambda by: by.sql("DELETE FROM log.checkpoints WHERE size = 20"),
        "checkpoint 2 of checkpoints.txt, over 20 events, was signed and is missing",
    ),
    "all stored checkpoints deleted": (
        lambda by: by.sql("DELETE FROM log.checkpoints"),
        "checkpoint 1 of checkpoints.txt, over 10 events, was signed and is missing",
    ),
    "a stored checkpoint over another log": (
        lambda by: by.sql("UPDATE log.checkpoints SET size = 19 WHERE size = 20"),
        "is stored for another log than the one in its note",
    ),
    "a stored checkpoint back-dated": (
        lambda by: by.sql("UPDATE log.checkpoints SET signed_at = '2020-01-01' WHERE size = 30"),
        "it was back-dated",
    ),
    "hashes altered": (
        lambda by: by.sql("UPDATE log.tiles SET hashes = set_byte(hashes, 40, 0)"),
        "the stored hash of event 2 is not its own",
    ),
    "the trigger left off": (
        lambda by: by.catalogue("ALTER TABLE log.stemma_events DISABLE TRIGGER append_only"),
        "append_only",
    ),
}
LAST: dict[str, tuple[Tampering, str]] = {
    "the table swapped for a view": (Insider.swap_table, "log.stemma_events is a view"),
}
"""What leaves no table to tamper with."""


def altered_and_forgotten(by: Insider) -> None:
    by.sql(at("= 17", "state = state || ' '"))
    by.forget(11)
    by.recompute_tiles()


def signed_anew(by: Insider) -> None:
    altered_and_forgotten(by)
    by.log.sign()


def cut_and_forgotten(by: Insider) -> None:
    by.sql("DELETE FROM log.stemma_events WHERE notification_id > 25")
    by.forget(26)
    by.recompute_tiles()


def replaced(by: Insider) -> None:
    """Another log with another key, whose public key the auditor does not have."""
    by.forget(0)
    by.sql("DELETE FROM log.stemma_events WHERE notification_id > 5", "DELETE FROM log.tiles")
    other = Signed(by.database, by.log.keys.path.parent / "other")
    other.sign()
    by.log.file.path.write_text(other.file.path.read_text())


OUTSIDE: dict[str, Tampering] = {
    "events were changed, and the checkpoints over them deleted from": altered_and_forgotten,
    "the same, and the hashes changed and the log signed again with a stolen key": signed_anew,
    "of the end were removed from all three records": cut_and_forgotten,
}


@pytest.fixture(scope="module")
def template(
    postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("signed")
    with new_database(postgres, migrated_template) as database:
        store, log = Store(database.app_url), Signed(database, folder)
        while append(store, 10) < SIGNED:
            log.sign()
        log.sign()
        append(store, EVENTS - SIGNED)
        store.close()
        yield database.name, folder


Copied = Callable[[], AbstractContextManager[Insider]]


@pytest.fixture(scope="module")
def copied(
    postgres: EmbeddedPostgres, template: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Copied:
    """A copy of the signed log, for one insider."""
    name, signed = template

    @contextmanager
    def made() -> Iterator[Insider]:
        folder = shutil.copytree(signed, tmp_path_factory.mktemp("copy") / "audit")
        with new_database(postgres, name) as database:
            yield Insider(database, folder)

    return made


def test_a_log_that_nobody_touched_has_no_finding(copied: Copied) -> None:
    with copied() as by:
        assert by.found(kept=True) == []


@pytest.mark.parametrize("name", [*TAMPERINGS, *LAST])
def test_verify_alone_finds(copied: Copied, name: str) -> None:
    tampering, said = (TAMPERINGS | LAST)[name]
    with copied() as by:
        tampering(by)
        found = by.found()
    assert [line for line in found if said in line], found


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.sampled_from(sorted(TAMPERINGS)), min_size=1, max_size=5, unique=True),
    st.booleans(),
    st.booleans(),
)
def test_verify_alone_finds_any_composition(
    copied: Copied, names: list[str], recomputed: bool, swapped: bool
) -> None:
    with copied() as by:
        for name in names:
            TAMPERINGS[name][0](by)
        if recomputed and "hashes altered" not in names:
            by.recompute_tiles()
        if swapped:
            by.swap_table()
        assert by.found()


@pytest.mark.parametrize("name", OUTSIDE)
def test_only_a_kept_checkpoint_finds(copied: Copied, name: str) -> None:
    """The guide names it."""
    guide = (Path(__file__).parents[3] / "docs" / "auditor" / "proofs.md").read_text()
    assert name in guide
    with copied() as by:
        OUTSIDE[name](by)
        assert by.found() == []
        assert "the kept one was signed over" in by.found(kept=True)[0]


def test_a_log_with_another_key_is_known_by_it(copied: Copied) -> None:
    with copied() as by:
        replaced(by)
        assert [line for line in by.found() if "not by a known key" in line]


def test_what_is_not_signed_yet_can_be_altered(copied: Copied) -> None:
    """It is told how much that is, and why it is no more than what a second brings."""
    with copied() as by:
        by.sql(at("= 42", "state = state || ' '"))
        assert by.found(kept=True) == []
