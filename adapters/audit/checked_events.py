"""The events as leaves, each looked at on the way: is it in its place, and what its name says?"""

from collections.abc import Iterator

import msgspec

from adapters.audit.stored import Connection, events, leaf_of

MOST_NAMED = 20


class _Data(msgspec.Struct, frozen=True, gc=False):
    event: str


class _Stored(msgspec.Struct, frozen=True):
    """As much of a stored event as shows that it is one."""

    event_id: str
    occurred_at: str
    actor: str
    command_id: str
    correlation_id: str
    schema_version: int
    data: _Data


class CheckedEvents:
    """The hashes of the leaves up to the first position that is missing or there twice."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._decode = msgspec.json.Decoder(_Stored).decode
        self.broken_at: int | None = None
        """The position at which another one stands; nothing after it was looked at."""
        self.wrong: list[tuple[int, str]] = []
        """The first events that are not as Stemma writes them: position, and what is wrong."""
        self.wrong_count = 0

    def __iter__(self) -> Iterator[bytes]:
        decode, expected = self._decode, 1
        for page in events(self._connection):
            leaves = []
            for row in page:
                if row[0] != expected:
                    self.broken_at = expected
                    break
                try:
                    leaves.append(leaf_of(row))
                    if decode(row[4]).data.event != row[3]:
                        self._note(expected, f"is stored as {row[3]}, and says to be another event")
                except msgspec.MsgspecError as error:
                    self._note(expected, f"holds no event: {error}")
                except ValueError as error:
                    self._note(expected, f"can have no entry: {error}")
                    leaves.append(bytes(32))
                expected += 1
            yield b"".join(leaves)
            if self.broken_at is not None:
                return

    def _note(self, position: int, what: str) -> None:
        self.wrong_count += 1
        if len(self.wrong) < MOST_NAMED:
            self.wrong.append((position, what))


def revisions_out_of_order(connection: Connection) -> list[tuple[str, int, int]]:
    """Streams' events that do not follow the one before: stream, revision, position."""
    return connection.execute(
        """
        SELECT originator_id, originator_version, notification_id
        FROM (
            SELECT originator_id, originator_version, notification_id,
                   row_number() OVER stream AS place,
                   lag(notification_id, 1, 0::bigint) OVER stream AS before
            FROM log.stemma_events
            WINDOW stream AS (PARTITION BY originator_id ORDER BY originator_version)
        ) AS placed
        WHERE originator_version <> place OR notification_id <= before
        ORDER BY notification_id LIMIT %s
        """,
        (MOST_NAMED,),
    ).fetchall()
