"""Queries of the trail on the event table: by position, by correlation, and earlier events."""

from collections.abc import Sequence
from typing import Any

from eventsourcing.persistence import Notification
from eventsourcing.postgres import PostgresDatastore
from psycopg.sql import SQL, Composed, Identifier

from application.log.connections import read_again

_STATUS_STEP = SQL(
    "topic = 'version.training_step_advanced' AND"
    " convert_from(state, 'UTF8')::json #>> '{data,step}' IN ('training', 'evaluating')"
)


class TrailReads:
    """Queries of the event table, each for as many events as a page has."""

    def __init__(self, datastore: PostgresDatastore, table: str) -> None:
        self._datastore = datastore
        self._schema = Identifier(datastore.schema)
        self._table = SQL("{}.{}").format(self._schema, Identifier(table))
        self._columns = SQL(
            "notification_id AS id, originator_id, originator_version, topic, state FROM {}"
        ).format(self._table)

    def at(self, positions: Sequence[int]) -> list[Notification]:
        """The events at these positions, in order."""
        return self._events("notification_id = ANY(%s) ORDER BY notification_id", list(positions))

    def first(self, streams: Sequence[str]) -> list[Notification]:
        """The first event of each existing stream."""
        return self._events("originator_id = ANY(%s) AND originator_version = 1", list(streams))

    @read_again
    def begun(self, start: str, after: str, limit: int) -> list[str]:
        """The names of streams with this prefix, after a name, in order."""
        query = SQL(
            "SELECT originator_id FROM {} WHERE originator_version = 1 AND originator_id > %s"
            " AND originator_id < %s ORDER BY originator_id LIMIT %s"
        ).format(self._table)
        # Names are compared byte by byte: no other kind's lie between these two.
        end = start[:-1] + chr(ord(start[-1]) + 1)
        with self._datastore.get_connection() as connection:
            rows = connection.execute(query, (after, end, limit), prepare=True).fetchall()
        return [str(row["originator_id"]) for row in rows]

    def of_stream(
        self, stream: str, after: int, before: int, limit: int, newest: bool
    ) -> list[Notification]:
        """A stream's events between two positions, both left out."""
        order = "DESC" if newest else "ASC"
        return self._events(
            "originator_id = %s AND notification_id > %s AND notification_id < %s"
            f" ORDER BY originator_version {order} LIMIT %s",
            *(stream, after, before, limit),
        )

    def histories(
        self, streams: Sequence[str], upto: int, without: Sequence[str]
    ) -> list[Notification]:
        """The events of several streams up to a position, in order, without those of some names."""
        return self._events(
            "originator_id = ANY(%s) AND notification_id <= %s AND topic <> ALL(%s)"
            " ORDER BY notification_id",
            *(list(streams), upto, list(without)),
        )

    def status_steps(self, streams: Sequence[str], positions: Sequence[int]) -> list[Notification]:
        """The last step of each version's training before a position that changed its status."""
        lateral = SQL(
            "SELECT DISTINCT found.* FROM unnest(%s::text[], %s::bigint[]) AS seen (stream, place)"
            " CROSS JOIN LATERAL (SELECT {columns} WHERE originator_id = seen.stream AND"
            " notification_id < seen.place AND {step}"
            " ORDER BY originator_version DESC LIMIT 1) AS found ORDER BY id"
        ).format(columns=self._columns, step=_STATUS_STEP)
        return self._run(lateral, (list(streams), list(positions)))

    def of_correlation(self, correlation_id: str, upto: int, limit: int) -> list[Notification]:
        """A correlation's first events up to a position, in order."""
        query = SQL(
            "SELECT {} WHERE {}.correlation_of(state) = %s AND notification_id <= %s"
            " ORDER BY notification_id LIMIT %s"
        )
        return self._run(query.format(self._columns, self._schema), (correlation_id, upto, limit))

    @read_again
    def count_correlation(self, correlation_id: str, upto: int) -> int:
        query = SQL(
            "SELECT count(*) FROM {} WHERE {}.correlation_of(state) = %s AND notification_id <= %s"
        )
        with self._datastore.get_connection() as connection:
            row = connection.execute(
                query.format(self._table, self._schema), (correlation_id, upto), prepare=True
            ).fetchone()
        assert row is not None
        return int(row["count"])

    def _events(self, condition: str, *parameters: Any) -> list[Notification]:
        return self._run(SQL("SELECT {} WHERE " + condition).format(self._columns), parameters)

    @read_again
    def _run(self, query: Composed, parameters: Sequence[Any]) -> list[Notification]:
        with self._datastore.get_connection() as connection:
            rows = connection.execute(query, parameters, prepare=True).fetchall()
        return [Notification(**row) for row in rows]
