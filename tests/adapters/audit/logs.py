"""A signed log for tests: events, a signer with its files, and what it left."""

from contextlib import suppress
from pathlib import Path

import psycopg

from adapters.audit.checkpoint_file import CheckpointFile
from adapters.audit.keys import Keys
from adapters.audit.signer import Pace, Signer
from adapters.audit.signing import open_checkpoint
from adapters.audit.stored import StoredCheckpoint, checkpoints_after, events
from application.log.recorder import CommandRow
from application.log.store import AppendRefused, Store
from domain.audit.merkle import Frontier, leaf_hash
from domain.audit.transparency import Checkpoint, log_entry, notes_in
from domain.dataset.project import ProjectRenamed
from tests.application.scenes import recorded
from tests.servers import Database

AT_ONCE = Pace(1, 0.0)


class Signed:
    """A log and the folder of its signer."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.keys = Keys(folder / "signing-key", "stemma.test/log")
        self.file = CheckpointFile(folder / "checkpoints.txt")

    def signer(self, pace: Pace = AT_ONCE) -> "Connected":
        made = Signer(self.keys, self.file, pace)
        with psycopg.connect(self.database.app_url, autocommit=True) as connection:
            made.begin(connection)
        return Connected(self.database.app_url, made)

    def sign(self) -> Checkpoint:
        signed = self.signer().sign_if_due()
        assert signed is not None
        return signed

    def notes(self) -> list[str]:
        return list(notes_in(self.file.path.read_text())) if self.file.path.exists() else []

    def checkpoints(self) -> list[Checkpoint]:
        """Those of the file, each with its signature checked."""
        return [open_checkpoint(note, self.keys.verifiers())[0] for note in self.notes()]

    def stored(self) -> list[StoredCheckpoint]:
        with psycopg.connect(self.database.app_url) as connection:
            return checkpoints_after(connection, 0, 1000)

    def roots(self) -> list[bytes]:
        """The root at every size of the log, from the events alone."""
        tree = Frontier()
        found = [tree.root()]
        with psycopg.connect(self.database.app_url) as connection:
            for page in events(connection):
                for row in page:
                    tree.append(leaf_hash(log_entry(*row)))
                    found.append(tree.root())
        return found


class Connected:
    """A signer that has begun, with a connection each time."""

    def __init__(self, url: str, signer: Signer) -> None:
        self._url = url
        self._signer = signer

    def sign_if_due(self) -> Checkpoint | None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            return self._signer.sign_if_due(connection)


def append(store: Store, count: int, stream: str = "project-1") -> int:
    """Add events to a stream, by a command that is on record; the log's head."""
    with suppress(AppendRefused):
        store.append([], command=CommandRow("command", "", b""))
    first = len(store.streams([stream])[stream]) + 1
    return store.append(
        [
            recorded(stream, revision, ProjectRenamed(f"name {revision}"))
            for revision in range(first, first + count)
        ]
    )


POSITIONS = "stemma_events_position_check"
INDEXES = ", ".join(
    f"'log.stemma_events_{name}_idx'::regclass" for name in ("correlation", "images", "views")
)


def tamper(database: Database, *statements: str) -> None:
    """Change the log as a superuser can, with no trigger, constraint or index over events in the
    way, and leave the catalogue as it was."""
    with psycopg.connect(database.admin_url) as connection:

        def execute(text: str) -> None:
            connection.execute(text.encode())

        execute("ALTER TABLE log.stemma_events DISABLE TRIGGER ALL")
        execute(f"ALTER TABLE log.stemma_events DROP CONSTRAINT IF EXISTS {POSITIONS}")
        execute(
            "UPDATE pg_index SET indisready = false, indisvalid = false"
            f" WHERE indexrelid IN ({INDEXES})"
        )
        for statement in statements:
            execute(statement)
        execute("ALTER TABLE log.stemma_events ENABLE ALWAYS TRIGGER append_only")
        execute(
            f"ALTER TABLE log.stemma_events ADD CONSTRAINT {POSITIONS}"
            " CHECK (notification_id > 0) NOT VALID"
        )
        execute(f"UPDATE pg_constraint SET convalidated = true WHERE conname = '{POSITIONS}'")
        execute(
            "UPDATE pg_index SET indisready = true, indisvalid = true"
            f" WHERE indexrelid IN ({INDEXES})"
        )
