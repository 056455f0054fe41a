"""What commits together with events: the command they answer, and the report they come from."""

from collections.abc import Sequence
from typing import Any

import msgspec
import psycopg
from eventsourcing.persistence import InterfaceError, OperationalError, StoredEvent
from eventsourcing.postgres import PostgresProcessRecorder
from eventsourcing.utils import retry
from psycopg import Connection, Cursor, Pipeline
from psycopg.rows import DictRow
from psycopg.sql import SQL, Identifier


class CommandRow(msgspec.Struct, frozen=True):
    """A command that has been carried out. Its id is unique: it happens once."""

    command_id: str
    fingerprint: str
    result: bytes


class LogRecorder(PostgresProcessRecorder):
    """The library's recorder, with two more things in each transaction that saves events.

    `command` is inserted, and refused if its id is taken. `unchanged` maps streams that were read
    but not written to the revisions they must still have. Both raise `IntegrityError`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        schema = Identifier(self.datastore.schema)
        self._insert_command = SQL(
            "INSERT INTO {}.commands (command_id, fingerprint, result) VALUES (%s, %s, %s)"
        ).format(schema)
        self._select_command = SQL(
            "SELECT command_id, fingerprint, result FROM {}.commands WHERE command_id = %s"
        ).format(schema)
        self._expect_unchanged = SQL("SELECT {}.expect_unchanged(%s, %s)").format(schema)
        self._count = SQL("SELECT count(*) FROM {}.{}").format(
            schema, Identifier(self.events_table_name)
        )
        self._select_streams = SQL(
            "SELECT originator_id, originator_version, topic, state FROM {}.{}"
            " WHERE originator_id = ANY(%s) AND notification_id <= %s"
            " ORDER BY originator_id, originator_version"
        ).format(schema, Identifier(self.events_table_name))

    def find_command(self, command_id: str) -> CommandRow | None:
        with self.datastore.get_connection() as connection:
            row = connection.execute(self._select_command, (command_id,)).fetchone()
        return None if row is None else CommandRow(**row)

    def count_events(self) -> int:
        with self.datastore.get_connection() as connection:
            row = connection.execute(self._count).fetchone()
        assert row is not None
        return int(row["count"])

    def select_streams(self, streams: Sequence[str], upto: int) -> list[StoredEvent]:
        """The events of several streams up to a position, each stream's in order."""
        with self.datastore.get_connection() as connection:
            rows = connection.execute(self._select_streams, (list(streams), upto)).fetchall()
        return [StoredEvent(**row) for row in rows]

    @retry((InterfaceError, OperationalError), max_attempts=10, wait=0.2)
    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        """The library's transaction, but for what it does with a refusal.

        It goes on to a COMMIT, which an aborted pipeline answers with an error that hides the
        refusal, and that looks like a lost connection.
        """
        with (
            self.datastore.get_connection() as connection,
            connection.pipeline() as pipeline,
            connection.transaction(),
            connection.cursor() as first,
            connection.cursor() as second,
        ):
            self._insert_events(first, stored_events, **kwargs)
            if not stored_events:
                return None
            try:
                self._insert_stored_events(second, stored_events, **kwargs)
                pipeline.sync()
            except psycopg.Error:
                _settle(connection, pipeline)
                raise
            return self._fetch_ids_after_insert_events(second, stored_events, **kwargs)

    def _insert_events(
        self,
        curs: Cursor[DictRow],
        stored_events: Sequence[StoredEvent],
        **kwargs: Any,
    ) -> None:
        command: CommandRow | None = kwargs.get("command")
        if command is not None and not stored_events:
            # Nothing later in the pipeline would surface a refusal: ask for a row now.
            curs.execute(self._insert_command + SQL(" RETURNING 1"), _row(command))
            curs.fetchone()
        super()._insert_events(curs, stored_events, **kwargs)

    def _insert_stored_events(
        self,
        curs: Cursor[DictRow],
        stored_events: Sequence[StoredEvent],
        **kwargs: Any,
    ) -> None:
        """Events, then what else may be refused.

        `unchanged` comes after the insert, because that is when the table lock is surely held; the
        insert touches none of these streams. The command does too: were it refused before, psycopg
        would take the insert, skipped unprepared, for prepared, and fail with it ever after.
        """
        super()._insert_stored_events(curs, stored_events, **kwargs)
        command: CommandRow | None = kwargs.get("command")
        unchanged: dict[str, int] = kwargs.get("unchanged") or {}
        other = curs.connection.cursor()  # `curs` holds the new ids
        if command is not None:
            other.execute(self._insert_command, _row(command), prepare=True)
        if unchanged:
            revisions = list(unchanged), list(unchanged.values())
            other.execute(self._expect_unchanged, revisions, prepare=True)


def _settle(connection: Connection[DictRow], pipeline: Pipeline) -> None:
    """Take in every answer that is still on its way after a refusal; all of them are refusals."""
    while not connection.closed:
        try:
            pipeline.sync()
        except psycopg.Error:
            continue
        return


def _row(command: CommandRow) -> tuple[str, str, bytes]:
    return command.command_id, command.fingerprint, command.result
