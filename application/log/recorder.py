"""The recorder of events, and of the command and report that commit with them."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from eventsourcing.persistence import (
    InterfaceError,
    Notification,
    OperationalError,
    StoredEvent,
    Tracking,
)
from eventsourcing.postgres import PostgresProcessRecorder
from eventsourcing.utils import retry
from psycopg.rows import tuple_row
from psycopg.sql import SQL, Identifier

from application.log.connections import read_again
from domain.dataset.image import ImageAdded
from domain.event import name_of

ADDED = name_of(ImageAdded)


class CommandRow(msgspec.Struct, frozen=True):
    """A completed command. Its id is unique, so that it runs once."""

    command_id: str
    fingerprint: str
    result: bytes


class NoAdditions(msgspec.Struct, frozen=True):
    """The condition that no other image joins a project after a position."""

    project_id: str
    since: int


class LogRecorder(PostgresProcessRecorder):
    """The library's recorder, writing through the database's own `log.append`, whose lock gives the
    log its order: see migration 0002.

    It takes more than events and tracking. `command` is refused if its id is taken. `unchanged`
    maps streams that were read but not written to the revisions they must still have.
    `no_additions` is refused if others added images. All raise `IntegrityError`. `keys` are new
    keys of streams, and `shredded` streams whose keys go.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        schema = Identifier(self.datastore.schema)
        self._append = SQL(
            "SELECT {}.append(%b::text[], %b::bigint[], %b::text[], %b::bytea[], %b::text[],"
            " %b::bytea, %b::text[], %b::bigint[], %s::text, %s::bigint) AS head"
        ).format(schema)
        # After the append, which has the lock that makes writers wait for each other.
        self._append_with_keys = SQL(
            "{}, {schema}.keep_subject_keys(%b::text[], %b::bytea[]),"
            " {schema}.shred_subject_keys(%b::text[])"
        ).format(self._append, schema=schema)
        self._no_additions = SQL(
            ", {}.refuse_other_additions(%s::text, %s::bigint, %s::bigint)"
        ).format(schema)
        self._select_keys = SQL(
            "SELECT subject, key FROM {}.subject_keys WHERE subject = ANY(%s)"
        ).format(schema)
        self._select_command = SQL(
            "SELECT command_id, fingerprint, result FROM {}.commands WHERE command_id = %s"
        ).format(schema)
        self._count = SQL("SELECT count(*) FROM {}.{}").format(
            schema, Identifier(self.events_table_name)
        )
        self._select_streams = SQL(
            "SELECT originator_id, originator_version, topic, state FROM {}.{}"
            " WHERE originator_id = ANY(%s) AND notification_id > 0 AND notification_id <= %s"
            " ORDER BY originator_id, originator_version"
        ).format(schema, Identifier(self.events_table_name))

        self._select_images = SQL(
            "SELECT originator_id, originator_version, topic, state FROM {schema}.{table}"
            " WHERE notification_id > 0 AND notification_id <= %(upto)s AND originator_id IN ("
            " SELECT originator_id FROM {schema}.{table} WHERE topic = 'image.added'"
            " AND {schema}.project_of(state) = %(project)s AND originator_id > %(after)s"
            " ORDER BY originator_id LIMIT %(limit)s)"
            " ORDER BY originator_id, originator_version"
        ).format(schema=schema, table=Identifier(self.events_table_name))

        self._select_revisions = SQL(
            "SELECT originator_id AS stream, max(originator_version) AS revision FROM {}.{}"
            " WHERE originator_id = ANY(%s) AND notification_id > 0 GROUP BY originator_id"
        ).format(schema, Identifier(self.events_table_name))

        self._select_page = SQL(
            "SELECT originator_id, originator_version, topic, state, notification_id"
            " FROM {}.{} WHERE notification_id > %s AND notification_id <= %s"
            " AND topic <> ALL(%s) ORDER BY notification_id LIMIT %s"
        ).format(schema, Identifier(self.events_table_name))

    @read_again
    def select_page(
        self, after: int, upto: int, skip: Sequence[str], limit: int
    ) -> list[Notification]:
        """Events at positions above `after`, in order, less those of the names to skip."""
        parameters = (after, upto, list(skip), limit)
        with (
            self.datastore.get_connection() as connection,
            connection.cursor(row_factory=tuple_row) as cursor,
        ):
            # The binary format avoids converting states to hexadecimal and back.
            cursor.execute(self._select_page, parameters, prepare=True, binary=True)
            return [Notification(*row) for row in cursor]

    @read_again
    def find_command(self, command_id: str) -> CommandRow | None:
        with self.datastore.get_connection() as connection:
            row = connection.execute(self._select_command, (command_id,), prepare=True).fetchone()
        return None if row is None else CommandRow(**row)

    @read_again
    def select_keys(self, subjects: Collection[str]) -> dict[str, bytes]:
        """The keys of these streams, where they exist."""
        with self.datastore.get_connection() as connection:
            rows = connection.execute(self._select_keys, (list(subjects),), prepare=True).fetchall()
        return {row["subject"]: row["key"] for row in rows}

    @read_again
    def count_events(self) -> int:
        with self.datastore.get_connection() as connection:
            row = connection.execute(self._count).fetchone()
        assert row is not None
        return int(row["count"])

    @read_again
    def select_streams(self, streams: Sequence[str], upto: int) -> list[StoredEvent]:
        """The events of several streams up to a position, each stream's in order."""
        with self.datastore.get_connection() as connection:
            rows = connection.execute(
                self._select_streams, (list(streams), upto), prepare=True
            ).fetchall()
        return [StoredEvent(**row) for row in rows]

    @read_again
    def select_revisions(self, streams: Sequence[str]) -> dict[str, int]:
        """The last revision of each existing stream."""
        with self.datastore.get_connection() as connection:
            rows = connection.execute(self._select_revisions, (list(streams),), prepare=True)
            return {row["stream"]: row["revision"] for row in rows}

    @read_again
    def select_image_streams(
        self, project_id: str, after: str, limit: int, upto: int
    ) -> list[StoredEvent]:
        """The events of the next images of a project, by stream, whatever other projects hold."""
        parameters = {"project": project_id, "after": after, "limit": limit, "upto": upto}
        with self.datastore.get_connection() as connection:
            rows = connection.execute(self._select_images, parameters, prepare=True).fetchall()
        return [StoredEvent(**row) for row in rows]

    @retry((InterfaceError, OperationalError), max_attempts=10, wait=0.2)
    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        """All in one statement, which is its own transaction; returns the positions given."""
        command: CommandRow | None = kwargs.get("command")
        unchanged: dict[str, int] = kwargs.get("unchanged") or {}
        tracking: Tracking | None = kwargs.get("tracking")
        keys: dict[str, bytes] = kwargs.get("keys") or {}
        shredded: list[str] = kwargs.get("shredded") or []
        no_additions: NoAdditions | None = kwargs.get("no_additions")
        parameters: tuple[Any, ...] = (
            [str(event.originator_id) for event in stored_events],
            [event.originator_version for event in stored_events],
            [event.topic for event in stored_events],
            [event.state for event in stored_events],
            None if command is None else [command.command_id, command.fingerprint],
            None if command is None else command.result,
            list(unchanged),
            list(unchanged.values()),
            tracking and tracking.application_name,
            tracking and tracking.notification_id,
        )
        statement = self._append
        if keys or shredded:
            statement = self._append_with_keys
            parameters += list(keys), list(keys.values()), shredded
        if no_additions is not None and stored_events:
            statement += self._no_additions
            own = sum(event.topic == ADDED for event in stored_events)
            parameters += no_additions.project_id, no_additions.since, own
        with self.datastore.get_connection() as connection:
            row = connection.execute(statement, parameters, prepare=True).fetchone()
        assert row is not None
        head = int(row["head"])
        return range(head + 1, head + 1 + len(stored_events))
