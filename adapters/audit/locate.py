"""What was done to the first event that is not what it was: found by the hashes that were stored.

The hashes must be those that a checkpoint was signed over. An entry holds its position, so that an
event which was moved is known by the entry that it would have at its old one.
"""

from hashlib import sha256

from adapters.audit.stored import Connection, Row, events, leaf_of
from domain.audit.merkle import HASH_BYTES
from domain.audit.tiles import TILE_BYTES, WIDTH
from domain.audit.transparency import Entry


def what_happened(connection: Connection, position: int) -> str:
    """In a sentence: altered, removed, inserted or reordered."""
    kept = _kept_from(connection, position)
    here = next((row for page in events(connection, position - 1, position) for row in page), None)
    now_at = _place_of(connection, position, kept[:HASH_BYTES])
    if here is None:
        if now_at is not None:
            return f"event {position} was reordered: it stands at position {now_at} now"
        return f"event {position} was removed: nothing stands at its position"
    named = f"{here[3]}, revision {here[2]} of {here[1]}"
    was_at = _former_place(here, position, kept)
    if now_at is not None and was_at is not None:
        return (
            f"event {position} was reordered: it stands at position {now_at} now, and at its own"
            f" stands what was event {was_at} ({named})"
        )
    if now_at is not None:
        return (
            f"event {position} ({named}) was inserted: what was event {position} stands at"
            f" position {now_at} now"
        )
    if was_at is not None:
        return (
            f"event {position} was removed: at its position stands what was event {was_at}"
            f" ({named})"
        )
    return f"event {position} ({named}) was altered"


def _kept_from(connection: Connection, position: int) -> bytes:
    """The stored hashes of the leaves from a position on."""
    first = (position - 1) // WIDTH
    rows = connection.execute(
        "SELECT hashes FROM log.tiles WHERE level = 0 AND number >= %s ORDER BY number", (first,)
    )
    hashes = b"".join(bytes(row[0]) for row in rows)
    return hashes[((position - 1) * HASH_BYTES) % TILE_BYTES :]


def _place_of(connection: Connection, position: int, leaf: bytes) -> int | None:
    """Where the event stands that had this leaf at a position; None where it does not."""
    for page in events(connection, position):
        for row in page:
            try:
                if leaf_of((position, *row[1:])) == leaf:
                    return row[0]
            except ValueError:
                continue
    return None


def _former_place(row: Row, position: int, kept: bytes) -> int | None:
    """The later position whose stored hash is the one that an event would have there."""
    _, stream, revision, name, state = row
    if "\n" in stream or "\n" in name:
        return None
    digest = sha256(state).hexdigest()
    for at in range(HASH_BYTES, len(kept), HASH_BYTES):
        place = position + at // HASH_BYTES
        entry = bytes(Entry(place, stream, revision, name, digest))
        if sha256(b"\x00" + entry).digest() == kept[at : at + HASH_BYTES]:
            return place
    return None
