"""The transparency log in the database: events as leaves, tiles, and checkpoints."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import cache
from hashlib import sha256
from typing import Any

import msgspec
import psycopg
from psycopg import ServerCursor

from domain.audit.merkle import HASH_BYTES
from domain.audit.tiles import WIDTH, GrowingTree, Tile, partial_tiles
from domain.audit.transparency import Checkpoint, log_entry

PAGE = 20 * WIDTH
END = 2**63 - 1
_WRITERS = 7363775
_EVENTS = (
    "SELECT notification_id, originator_id, originator_version, topic, state"
    " FROM log.stemma_events WHERE notification_id > %s AND notification_id <= %s"
    " ORDER BY notification_id"
)

Connection = psycopg.Connection[tuple[Any, ...]]
Row = tuple[int, str, int, str, bytes]
"""Position, stream, revision, name, and the stored JSON."""


class StoredCheckpoint(msgspec.Struct, frozen=True):
    """A signed checkpoint as it is stored in the database."""

    checkpoint_id: int
    origin: str
    size: int
    root: bytes
    note: str
    signed_at: datetime


def leaf_of(row: Row) -> bytes:
    """The hash of an event's leaf. Raises `ValueError` for an event that cannot have an entry."""
    return sha256(b"\x00" + log_entry(*row)).digest()


def events(connection: Connection, after: int = 0, upto: int = END) -> Iterator[list[Row]]:
    """The stored events of a range, in the log's order, in pages."""
    with connection.cursor("events", binary=True) as cursor:
        cursor.execute(_EVENTS, (after, upto))
        while page := cursor.fetchmany(PAGE):
            yield page


def page_of_events(connection: Connection, after: int, upto: int) -> list[Row]:
    """The next page of events."""
    with connection.cursor(binary=True) as cursor:
        return cursor.execute(f"{_EVENTS} LIMIT {PAGE}", (after, upto)).fetchall()


def head(connection: Connection) -> int:
    """The position of the log's last event."""
    row = connection.execute("SELECT max(notification_id) FROM log.stemma_events").fetchone()
    return int(row[0] or 0) if row else 0


def lock_tree(connection: Connection) -> None:
    """Lock the tree against other signers, until the end of the transaction."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_WRITERS,))


def tree_size(connection: Connection) -> int:
    """The number of leaves in the stored tiles."""
    row = connection.execute(
        "SELECT number, length(hashes) FROM log.tiles WHERE level = 0 ORDER BY number DESC LIMIT 1"
    ).fetchone()
    return 0 if row is None else int(row[0]) * WIDTH + int(row[1]) // HASH_BYTES


def tile_reader(connection: Connection) -> Callable[[int, int], bytes]:
    """A function that reads the stored hashes of a tile, which are empty for a missing one."""

    @cache
    def read(level: int, number: int) -> bytes:
        row = connection.execute(
            "SELECT hashes FROM log.tiles WHERE level = %s AND number = %s", (level, number)
        ).fetchone()
        return b"" if row is None else bytes(row[0])

    return read


def load_tree(connection: Connection) -> GrowingTree:
    """The tree of the stored tiles. Raises `ValueError` if they do not form a tree."""
    size, read = tree_size(connection), tile_reader(connection)
    return GrowingTree(
        size,
        [
            read(level, number)[: width * HASH_BYTES] if width else b""
            for level, number, width in partial_tiles(size)
        ],
    )


def save_tiles(connection: Connection, tiles: Iterable[Tile]) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO log.tiles (level, number, hashes) VALUES (%s, %s, %s)"
            " ON CONFLICT (level, number) DO UPDATE SET hashes = excluded.hashes",
            [(tile.level, tile.number, tile.hashes) for tile in tiles],
        )


def leaf_tiles(connection: Connection) -> Iterator[bytes]:
    """The stored hashes of the leaves in order, up to the first missing or partial tile.

    They are those at the moment of this call.
    """
    cursor = connection.cursor("leaf_tiles", binary=True)
    cursor.itersize = 100
    cursor.execute("SELECT number, hashes FROM log.tiles WHERE level = 0 ORDER BY number")
    return _dense_tiles(cursor)


def leaf_tiles_after(connection: Connection, number: int, limit: int = 100) -> list[bytes]:
    """The stored hashes of the next leaves, behind a tile, up to the first one that is missing."""
    rows = connection.execute(
        "SELECT number, hashes FROM log.tiles WHERE level = 0 AND number > %s"
        " ORDER BY number LIMIT %s",
        (number, limit),
    )
    return [bytes(row[1]) for place, row in enumerate(rows, start=number + 1) if row[0] == place]


def _dense_tiles(cursor: ServerCursor[tuple[Any, ...]]) -> Iterator[bytes]:
    with cursor:
        for expected, (number, hashes) in enumerate(cursor):
            if number != expected:
                return
            yield hashes
            if len(hashes) != WIDTH * HASH_BYTES:
                return


def save_checkpoint(connection: Connection, checkpoint: Checkpoint, note: str) -> None:
    """Store a signed checkpoint. Storing the same one again changes nothing."""
    connection.execute(
        "INSERT INTO log.checkpoints (origin, size, root, note, note_sha256)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (note_sha256) DO NOTHING",
        (
            checkpoint.origin,
            checkpoint.size,
            checkpoint.root,
            note,
            sha256(note.encode()).digest(),
        ),
    )


def checkpoints_by_size(connection: Connection) -> Iterator[StoredCheckpoint]:
    with connection.cursor("checkpoints") as cursor:
        cursor.execute(f"{_CHECKPOINTS} ORDER BY size, checkpoint_id")
        for row in cursor:
            yield StoredCheckpoint(*row)


def newest_checkpoint(connection: Connection, origin: str | None = None) -> StoredCheckpoint | None:
    """The last checkpoint of the largest size, of one log or of any."""
    row = connection.execute(
        f"{_CHECKPOINTS} WHERE %(origin)s::text IS NULL OR origin = %(origin)s"
        " ORDER BY size DESC, checkpoint_id DESC LIMIT 1",
        {"origin": origin},
    ).fetchone()
    return None if row is None else StoredCheckpoint(*row)


def checkpoints_after(
    connection: Connection, checkpoint_id: int, limit: int
) -> list[StoredCheckpoint]:
    """The next checkpoints in the order of their ids."""
    rows = connection.execute(
        f"{_CHECKPOINTS} WHERE checkpoint_id > %s ORDER BY checkpoint_id LIMIT %s",
        (checkpoint_id, limit),
    )
    return [StoredCheckpoint(*row) for row in rows]


def checkpoints_before(
    connection: Connection, checkpoint_id: int, limit: int
) -> list[StoredCheckpoint]:
    """The checkpoints before an id, the newest first."""
    rows = connection.execute(
        f"{_CHECKPOINTS} WHERE checkpoint_id < %s ORDER BY checkpoint_id DESC LIMIT %s",
        (checkpoint_id, limit),
    )
    return [StoredCheckpoint(*row) for row in rows]


_CHECKPOINTS = "SELECT checkpoint_id, origin, size, root, note, signed_at FROM log.checkpoints"
