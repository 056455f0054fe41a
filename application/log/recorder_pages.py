"""Pages of the event table by event names, or by streams.

Each name and each stream is looked up in an index of its own, whose order is the only one that
fits. Left the choice, PostgreSQL's plan for any parameters is to look through all that lies behind
the position, also where none of it fits.
"""

from collections.abc import Sequence

from eventsourcing.persistence import InterfaceError, Notification, OperationalError
from eventsourcing.postgres import PostgresDatastore
from eventsourcing.utils import retry
from psycopg.rows import tuple_row
from psycopg.sql import SQL, Composed, Identifier

_PAGE = """
    SELECT originator_id, originator_version, topic, state, notification_id FROM {table}
    WHERE notification_id IN (
        SELECT found.notification_id
        FROM unnest(%(wanted)s::text[]) AS wanted (one) CROSS JOIN LATERAL ({found}) AS found
        ORDER BY found.notification_id LIMIT %(limit)s
    ) ORDER BY notification_id
"""

_NAMED = """
    SELECT notification_id FROM {table}
    WHERE (topic, notification_id) > (wanted.one, %(after)s::bigint)
      AND (topic, notification_id) <= (wanted.one, %(upto)s::bigint)
    ORDER BY topic, notification_id LIMIT %(limit)s
"""

_OF_STREAM = """
    SELECT notification_id FROM {table}
    WHERE (originator_id, originator_version) > (wanted.one, 0)
      AND (originator_id, originator_version) <= (wanted.one, 9223372036854775807)
      AND notification_id > %(after)s::bigint AND notification_id <= %(upto)s::bigint
    ORDER BY originator_id, originator_version LIMIT %(limit)s
"""


class PageReads:
    """Queries of the event table, each for the events behind a position, in order."""

    def __init__(self, datastore: PostgresDatastore, table: str) -> None:
        self._datastore = datastore
        name = SQL("{}.{}").format(Identifier(datastore.schema), Identifier(table))
        self._named, self._of_streams = (
            SQL(_PAGE).format(table=name, found=SQL(query).format(table=name))
            for query in (_NAMED, _OF_STREAM)
        )

    def named(self, names: Sequence[str], after: int, upto: int, limit: int) -> list[Notification]:
        """The events of these names."""
        events: list[Notification] = self._run(self._named, names, after, upto, limit)
        return events

    def of_streams(
        self, streams: Sequence[str], after: int, upto: int, limit: int
    ) -> list[Notification]:
        """The events of these streams."""
        events: list[Notification] = self._run(self._of_streams, streams, after, upto, limit)
        return events

    @retry((InterfaceError, OperationalError), max_attempts=10, wait=0.2)
    def _run(
        self, query: Composed, wanted: Sequence[str], after: int, upto: int, limit: int
    ) -> list[Notification]:
        parameters = {"wanted": list(set(wanted)), "after": after, "upto": upto, "limit": limit}
        with (
            self._datastore.get_connection() as connection,
            connection.cursor(row_factory=tuple_row) as cursor,
        ):
            # The binary format avoids converting states to hexadecimal and back.
            cursor.execute(query, parameters, prepare=True, binary=True)
            return [Notification(*row) for row in cursor]
