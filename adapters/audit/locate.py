"""Detection of the change to the first altered event, by the stored hashes.

The hashes must be those over which a checkpoint was signed. An entry includes its position, so a
moved event is recognised by the entry that it would have at its old position.
"""

from hashlib import sha256

from adapters.audit.stored import Connection, Row, events, leaf_of
from domain.audit.merkle import HASH_BYTES
from domain.audit.tiles import TILE_BYTES, WIDTH
from domain.audit.transparency import Entry


def describe_change(connection: Connection, position: int) -> str:
    """A sentence on an event: altered, removed, inserted or reordered."""
    stored = _stored_hashes(connection, position)
    row = next((row for page in events(connection, position - 1, position) for row in page), None)
    now_at = _current_position(connection, position, stored[:HASH_BYTES])
    if row is None:
        if now_at is not None:
            return f"event {position} was reordered: it is now at position {now_at}"
        return f"event {position} was removed: its position is empty"
    named = f"{row[3]}, revision {row[2]} of {row[1]}"
    was_at = _former_position(row, position, stored)
    if now_at is not None and was_at is not None:
        return (
            f"event {position} was reordered: it is now at position {now_at}, and its own"
            f" position has what was event {was_at} ({named})"
        )
    if now_at is not None:
        return (
            f"event {position} ({named}) was inserted: what was event {position} is now at"
            f" position {now_at}"
        )
    if was_at is not None:
        return f"event {position} was removed: its position has what was event {was_at} ({named})"
    return f"event {position} ({named}) was altered"


def _stored_hashes(connection: Connection, position: int) -> bytes:
    """The stored hashes of the leaves, starting at a position."""
    first = (position - 1) // WIDTH
    rows = connection.execute(
        "SELECT hashes FROM log.tiles WHERE level = 0 AND number >= %s ORDER BY number", (first,)
    )
    hashes = b"".join(bytes(row[0]) for row in rows)
    return hashes[((position - 1) * HASH_BYTES) % TILE_BYTES :]


def _current_position(connection: Connection, position: int, leaf: bytes) -> int | None:
    """The current position of the event that had this leaf at a position, or None."""
    for page in events(connection, position):
        for row in page:
            try:
                if leaf_of((position, *row[1:])) == leaf:
                    return row[0]
            except ValueError:
                continue
    return None


def _former_position(row: Row, position: int, stored: bytes) -> int | None:
    """The later position whose stored hash matches the event at that position, or None."""
    _, stream, revision, name, state = row
    if "\n" in stream or "\n" in name:
        return None
    digest = sha256(state).hexdigest()
    for offset in range(HASH_BYTES, len(stored), HASH_BYTES):
        later = position + offset // HASH_BYTES
        entry = bytes(Entry(later, stream, revision, name, digest))
        if sha256(b"\x00" + entry).digest() == stored[offset : offset + HASH_BYTES]:
            return later
    return None
