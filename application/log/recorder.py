"""The recorder of events, and of the command and report that commit with them."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
import psycopg
from eventsourcing.persistence import (
    InterfaceError,
    Notification,
    OperationalError,
    StoredEvent,
    Tracking,
)
from eventsourcing.postgres import PostgresProcessRecorder
from eventsourcing.utils import retry
from psycopg.rows import DictRow, tuple_row
from psycopg.sql import SQL, Identifier

from application.log.arrays import Bigints, Byteas, Texts
from application.log.connections import read_again
from application.log.group_commit import Append, GroupCommit
from domain.dataset.image import ImageAdded
from domain.event import name_of

ADDED = name_of(ImageAdded)

_EVENTS_OF = SQL(
    "SELECT wanted.stream AS originator_id, found.originator_version, found.topic, found.state"
)
# A sum is in no index: before PostgreSQL has analysed a log that grows, it takes the events up to a
# position for as few as those of a stream, and would read them all for each stream.
_OF_EACH = """
    CROSS JOIN LATERAL (
        SELECT originator_version, topic, state FROM {events}
        WHERE originator_id = wanted.stream
          AND notification_id + 0 > 0 AND notification_id + 0 <= %(upto)s::bigint
        OFFSET 0
    ) AS found ORDER BY wanted.stream COLLATE "C", found.originator_version
"""


_IS_LAST = """
    coalesce((
        SELECT originator_version FROM log.stemma_events
        WHERE originator_id = %s AND notification_id > 0
        ORDER BY originator_version DESC LIMIT 1
    ), 0) = %s
"""


def are_last(streams: int) -> str:
    """A condition in SQL that so many streams are at their revisions, 0 for one without events. Its
    parameters are stream after stream, each with its revision."""
    return " AND ".join([_IS_LAST] * streams) or "true"


Rows = list[tuple[Any, ...]]


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
    `no_additions` is refused if others added images. `tracked_first` is the first of the sequences
    that `tracking` stands for: it is refused if that was tracked before. All raise
    `IntegrityError`. `keys` are new keys of streams, and `shredded` streams whose keys go.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._group = GroupCommit(self._commit, self._commit_alone)
        schema = Identifier(self.datastore.schema)
        self._append = SQL(
            "SELECT {}.append(%b::text[], %b::bigint[], %b::text[], %b::bytea[], %b::text[],"
            " %b::bytea, %b::text[], %b::bigint[], %s::text, %s::bigint, %s::bigint) AS head"
        ).format(schema)
        # After the append, which has the lock that makes writers wait for each other.
        self._append_with_keys = SQL(
            "{}, {schema}.keep_subject_keys(%b::text[], %b::bytea[]),"
            " {schema}.shred_subject_keys(%b::text[])"
        ).format(self._append, schema=schema)
        self._no_additions = SQL(
            ", {}.refuse_other_additions(%s::text, %s::bigint, %s::bigint)"
        ).format(schema)
        # Each stream is looked up in an index by itself, fenced by OFFSET 0. Left the choice,
        # PostgreSQL reads the whole log where it expects many rows for many names.
        self._select_keys = SQL(
            "SELECT wanted.stream AS subject, kept.key FROM unnest(%s::text[]) AS wanted (stream)"
            " CROSS JOIN LATERAL ("
            " SELECT key FROM {}.subject_keys WHERE subject = wanted.stream OFFSET 0) AS kept"
        ).format(schema)
        self._select_command = SQL(
            "SELECT command_id, fingerprint, result FROM {}.commands WHERE command_id = %s"
        ).format(schema)
        self._count = SQL("SELECT count(*) FROM {}.{}").format(
            schema, Identifier(self.events_table_name)
        )
        events = SQL("{}.{}").format(schema, Identifier(self.events_table_name))
        self._select_streams = SQL(
            "{} FROM (SELECT DISTINCT stream FROM unnest(%(streams)s::text[]) AS given (stream))"
            " AS wanted{}"
        ).format(_EVENTS_OF, SQL(_OF_EACH).format(events=events))
        self._select_streams_and_head = SQL(
            "SELECT log.head, of_each.* FROM"
            " (SELECT coalesce(max(notification_id), 0) AS head FROM {}) AS log"
            " LEFT JOIN ({}) AS of_each ON true"
        ).format(events, self._select_streams)
        self._select_images = SQL(
            "{} FROM (SELECT DISTINCT originator_id AS stream FROM {events}"
            " WHERE topic = 'image.added' AND {schema}.project_of(state) = %(project)s"
            " AND originator_id > %(after)s AND notification_id <= %(upto)s::bigint"
            " ORDER BY originator_id LIMIT %(limit)s) AS wanted{}"
        ).format(_EVENTS_OF, SQL(_OF_EACH).format(events=events), events=events, schema=schema)

        self._select_views = SQL(
            "SELECT originator_id FROM {} WHERE topic = 'view.created'"
            " AND {}.project_of(state) = %s AND notification_id <= %s::bigint"
            " ORDER BY notification_id"
        ).format(events, schema)
        self._select_revisions = SQL(
            "SELECT wanted.stream, newest.revision FROM unnest(%s::text[]) AS wanted (stream)"
            " CROSS JOIN LATERAL (SELECT originator_version AS revision FROM {events}"
            " WHERE originator_id = wanted.stream AND notification_id > 0"
            " ORDER BY originator_version DESC LIMIT 1) AS newest"
        ).format(events=events)

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
    def select(self, statement: bytes, parameters: Sequence[Any]) -> Rows:
        """The rows of a query in a snapshot of its own."""
        with self.datastore.get_connection() as connection:
            return _query(connection, statement, parameters).fetchall()

    @read_again
    def select_each(self, queries: Sequence[tuple[bytes, Sequence[Any]]]) -> list[Rows]:
        """The rows of several queries in one snapshot, in one round trip."""
        with self.datastore.get_connection() as connection:
            with connection.pipeline():
                connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                cursors = [_query(connection, *query) for query in queries]
                connection.execute("COMMIT")
            return [cursor.fetchall() for cursor in cursors]

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
                self._select_streams, {"streams": list(streams), "upto": upto}, prepare=True
            ).fetchall()
        return [StoredEvent(**row) for row in rows]

    @read_again
    def select_streams_and_head(
        self, streams: Sequence[str], upto: int
    ) -> tuple[int, list[StoredEvent]]:
        """The log's last position, and the same, in one snapshot."""
        parameters = {"streams": list(streams), "upto": upto}
        with self.datastore.get_connection() as connection:
            rows = connection.execute(
                self._select_streams_and_head, parameters, prepare=True
            ).fetchall()
        heads = [row.pop("head") for row in rows]
        return heads[0], [StoredEvent(**row) for row in rows if row["originator_id"] is not None]

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

    @read_again
    def select_views(self, project_id: str, upto: int) -> list[str]:
        """The streams of a project's views that were made up to a position, the first one first."""
        with self.datastore.get_connection() as connection:
            rows = connection.execute(self._select_views, (project_id, upto), prepare=True)
            return [row["originator_id"] for row in rows]

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        """All in one statement, so all or nothing; returns the positions given."""
        append = self._to_append(stored_events, **kwargs)
        head = self._group.append(append)
        return range(head + 1, head + 1 + len(stored_events))

    def _to_append(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Append:
        command: CommandRow | None = kwargs.get("command")
        unchanged: dict[str, int] = kwargs.get("unchanged") or {}
        tracking: Tracking | None = kwargs.get("tracking")
        keys: dict[str, bytes] = kwargs.get("keys") or {}
        shredded: list[str] = kwargs.get("shredded") or []
        no_additions: NoAdditions | None = kwargs.get("no_additions")
        streams = [str(event.originator_id) for event in stored_events]
        parameters: tuple[Any, ...] = (
            Texts(streams),
            Bigints(event.originator_version for event in stored_events),
            Texts(event.topic for event in stored_events),
            Byteas(event.state for event in stored_events),
            None if command is None else Texts([command.command_id, command.fingerprint]),
            None if command is None else command.result,
            Texts(unchanged),
            Bigints(unchanged.values()),
            tracking and tracking.application_name,
            tracking and tracking.notification_id,
            kwargs.get("tracked_first"),
        )
        statement = self._append
        if keys or shredded:
            statement = self._append_with_keys
            parameters += Texts(keys), Byteas(keys.values()), Texts(shredded)
        if no_additions is not None and stored_events:
            statement += self._no_additions
            own = sum(event.topic == ADDED for event in stored_events)
            parameters += no_additions.project_id, no_additions.since, own
        ids = [
            *([] if command is None else [f"command {command.command_id}"]),
            *([] if tracking is None else [f"feed {tracking.application_name}"]),
        ]
        return Append(
            statement,
            parameters,
            len(stored_events),
            frozenset([*streams, *ids]),
            frozenset(unchanged),
        )

    def _commit(self, appends: Sequence[Append]) -> list[int]:
        with self.datastore.get_connection() as connection:
            if len(appends) == 1:
                return [_head(_execute(connection, appends[0]))]
            try:
                with connection.pipeline():
                    connection.execute("BEGIN")
                    cursors = [_execute(connection, append) for append in appends]
                    commit = connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise
            if commit.statusmessage != "COMMIT":
                raise OperationalError(f"the commit ended with {commit.statusmessage}")
            return [_head(cursor) for cursor in cursors]

    @retry((InterfaceError, OperationalError), max_attempts=10, wait=0.2)
    def _commit_alone(self, append: Append) -> int:
        return self._commit([append])[0]


def _query(
    connection: psycopg.Connection[Any], statement: bytes, parameters: Sequence[Any]
) -> psycopg.Cursor[tuple[Any, ...]]:
    return connection.cursor(row_factory=tuple_row).execute(statement, parameters, prepare=True)


def _execute(connection: psycopg.Connection[DictRow], append: Append) -> psycopg.Cursor[DictRow]:
    return connection.execute(append.statement, append.parameters, prepare=True)


def _head(cursor: psycopg.Cursor[DictRow]) -> int:
    row = cursor.fetchone()
    assert row is not None
    return int(row["head"])
