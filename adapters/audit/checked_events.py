"""The leaves of the events, which are checked for their position and content as they are read."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec

from adapters.audit.stored import Connection, Row, events, leaf_of

MOST_NAMED = 20


class _Data(msgspec.Struct, frozen=True, gc=False):
    event: str


class _Stored(msgspec.Struct, frozen=True, gc=False):
    """The fields that every stored event has."""

    event_id: str
    actor: str
    schema_version: int
    data: _Data


class CheckedEvents:
    """The hashes of the leaves, up to the first missing or duplicate position."""

    def __init__(self, connection: Connection, upto: int) -> None:
        """`upto` is the last position to read."""
        self._connection = connection
        self._upto = upto
        self._decode = msgspec.json.Decoder(_Stored).decode
        self.broken_at: int | None = None
        """The first position that is missing or a duplicate; later events are not checked."""
        self.wrong: list[tuple[int, str]] = []
        """The first events that Stemma cannot have written: position and error."""
        self.wrong_count = 0

    def __iter__(self) -> Iterator[bytes]:
        decode, expected = self._decode, 1
        for page in _ahead(events(self._connection, 0, self._upto)):
            leaves = []
            for row in page:
                if row[0] != expected:
                    self.broken_at = expected
                    break
                try:
                    leaves.append(leaf_of(row))
                    if decode(row[4]).data.event != row[3]:
                        self._note(expected, f"is stored as {row[3]} and contains another event")
                except msgspec.MsgspecError as error:
                    self._note(expected, f"does not contain an event: {error}")
                except ValueError as error:
                    self._note(expected, f"cannot have an entry: {error}")
                    leaves.append(bytes(32))
                expected += 1
            yield b"".join(leaves)
            if self.broken_at is not None:
                return

    def _note(self, position: int, error: str) -> None:
        self.wrong_count += 1
        if len(self.wrong) < MOST_NAMED:
            self.wrong.append((position, error))


def _ahead(pages: Iterator[list[Row]]) -> Iterator[list[Row]]:
    """The same pages; the next page is fetched while the current one is processed."""
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(next, pages, None)
        while page := following.result():
            following = thread.submit(next, pages, None)
            yield page


def events_outside(connection: Connection) -> list[tuple[int, str]]:
    """Position and stream of events before the log's first position, which no page of it has."""
    return connection.execute(
        "SELECT notification_id, originator_id FROM log.stemma_events WHERE notification_id < 1"
        " ORDER BY notification_id LIMIT %s",
        (MOST_NAMED,),
    ).fetchall()


def streams_with_holes(connection: Connection) -> list[str]:
    """The first streams whose revisions are not 1, 2, 3 and so on."""
    rows = connection.execute(
        """
        SELECT originator_id FROM log.stemma_events GROUP BY originator_id
        HAVING count(*) <> max(originator_version) OR min(originator_version) <> 1
        ORDER BY originator_id LIMIT %s
        """,
        (MOST_NAMED,),
    )
    return [stream for (stream,) in rows]


def events_out_of_order(connection: Connection, after: int) -> list[tuple[int, str]]:
    """Position and stream of events after a position that precede an earlier revision of their
    stream."""
    return connection.execute(
        """
        SELECT notification_id, originator_id
        FROM (
            SELECT notification_id, originator_id, originator_version,
                   lead(originator_version) OVER (
                       PARTITION BY originator_id ORDER BY notification_id
                   ) AS following
            FROM log.stemma_events WHERE notification_id > %s
        ) AS placed
        WHERE following <= originator_version
        ORDER BY notification_id LIMIT %s
        """,
        (after, MOST_NAMED),
    ).fetchall()
