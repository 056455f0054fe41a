"""Routes of the transparency log: checkpoints and proofs, and the tiles of C2SP tlog-tiles."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, cast

import msgspec
from litestar import Controller, Response, get
from litestar.params import FromPath, QueryParameter

from adapters.audit.stored import (
    END,
    Connection,
    StoredCheckpoint,
    checkpoints_before,
    leaf_of,
    newest_checkpoint,
    page_of_events,
    tile_reader,
    tree_size,
)
from api.access.rights import needs
from api.backend import Backend
from api.http.parameters import Cursor, Limit, Served, position_in
from domain.access.roles import Right
from domain.audit.merkle import HASH_BYTES, consistency_proof, inclusion_proof, root_at
from domain.audit.signed_note import Malformed
from domain.audit.tiles import WIDTH, TileName, bundle, parse_tile_path, subtrees_of
from domain.audit.transparency import log_entry
from domain.errors import Invalid, NotFound

FOREVER = {"Cache-Control": "private, max-age=31536000, immutable"}
NOT_KEPT = {"Cache-Control": "no-cache"}
BYTES = "application/octet-stream"

Size = Annotated[
    int | None,
    QueryParameter(ge=1, description="The number of events in the tree; by default all"),
]


class CheckpointView(msgspec.Struct, frozen=True):
    """A signed checkpoint; `note` is the signed text and `root` its root hash in hexadecimal."""

    size: int
    root: str
    origin: str
    signed_at: datetime
    note: str


class Checkpoints(msgspec.Struct, frozen=True):
    """A page of checkpoints, and the position that the tree includes."""

    items: list[CheckpointView]
    next: str | None
    position: int


class InclusionProof(msgspec.Struct, frozen=True):
    """A proof that an event is in the log: RFC 6962, section 2.1.1. Hashes are hexadecimal.

    `leaf_hash` is the hash of `entry`, the event as it is now, which is leaf `position - 1`.
    `stored` is the event's JSON as it is stored, whose sha256 is the last line of `entry`.
    """

    position: int
    size: int
    entry: str
    leaf_hash: str
    proof: list[str]
    root: str
    stored: str


class ConsistencyProof(msgspec.Struct, frozen=True):
    """A proof that a longer log begins with a shorter one: RFC 6962, section 2.1.2."""

    from_size: int
    to_size: int
    proof: list[str]
    from_root: str
    to_root: str


class TransparencyController(Controller):
    """Signed checkpoints over the event log, and proofs against them."""

    path = "/audit"
    tags = ("Audit",)

    @get(
        "/checkpoints",
        summary="List signed checkpoints",
        sync_to_thread=True,
        opt=needs(Right.AUDIT),
    )
    def list_checkpoints(
        self, backend: Served, cursor: Cursor = None, limit: Limit = 50
    ) -> Checkpoints:
        """Newest first."""
        before = position_in(cursor)
        with _log(backend) as connection:
            checkpoints = checkpoints_before(connection, END if before is None else before, limit)
            position = tree_size(connection)
        following = str(checkpoints[-1].checkpoint_id) if len(checkpoints) == limit else None
        return Checkpoints([_view(checkpoint) for checkpoint in checkpoints], following, position)

    @get(
        "/checkpoints/latest",
        summary="The newest signed checkpoint",
        sync_to_thread=True,
        opt=needs(Right.AUDIT),
    )
    def get_latest_checkpoint(self, backend: Served) -> CheckpointView:
        """The checkpoint over the most events."""
        with _log(backend) as connection:
            return _view(_newest(connection))

    @get(
        "/proofs/inclusion",
        summary="Prove that an event is in the log",
        sync_to_thread=True,
        opt=needs(Right.AUDIT),
    )
    def prove_inclusion(
        self,
        backend: Served,
        position: Annotated[int, QueryParameter(ge=1, description="The event's position")],
        size: Size = None,
    ) -> InclusionProof:
        """The path from an event's leaf to the root of the tree over the first `size` events."""
        with _log(backend) as connection:
            size = _known_size(connection, size, "size")
            if position > size:
                raise Invalid(f"the first {size} events end before {position}", field="position")
            subtrees = subtrees_of(tile_reader(connection))
            proof = inclusion_proof(position - 1, size, subtrees)
            row = page_of_events(connection, position - 1, position)
            if not row:
                raise NotFound(f"event {position} is missing from the log")
            return InclusionProof(
                position,
                size,
                log_entry(*row[0]).decode(),
                leaf_of(row[0]).hex(),
                [digest.hex() for digest in proof],
                root_at(size, subtrees).hex(),
                row[0][4].decode(),
            )

    @get(
        "/proofs/consistency",
        summary="Prove that the log only grew",
        sync_to_thread=True,
        opt=needs(Right.AUDIT),
    )
    def prove_consistency(
        self,
        backend: Served,
        old: Annotated[int, QueryParameter(name="from", description="Events of the shorter log")],
        new: Annotated[
            int | None,
            QueryParameter(name="to", description="Events of the longer one; by default all"),
        ] = None,
    ) -> ConsistencyProof:
        """From the tree over the first `from` events to that over the first `to`."""
        with _log(backend) as connection:
            new = _known_size(connection, new, "to")
            if not 1 <= old <= new:
                raise Invalid(f"from must be from 1 to {new}, got {old}", field="from")
            subtrees = subtrees_of(tile_reader(connection))
            return ConsistencyProof(
                old,
                new,
                [digest.hex() for digest in consistency_proof(old, new, subtrees)],
                root_at(old, subtrees).hex(),
                root_at(new, subtrees).hex(),
            )


class TilesController(Controller):
    """The log as a C2SP tlog-tiles server; this path is the prefix that its clients use."""

    path = "/audit/log"
    tags = ("Audit",)

    @get("/checkpoint", summary="The newest checkpoint as a signed note", media_type="text/plain",
         sync_to_thread=True, opt=needs(Right.AUDIT))  # fmt: skip
    def get_signed_checkpoint(self, backend: Served) -> Response[str]:
        """C2SP tlog-checkpoint. A kept checkpoint detects any later change of the log before it."""
        with _log(backend) as connection:
            note = _newest(connection).note
        return Response(note, media_type="text/plain", headers=NOT_KEPT)

    @get("/tile/{tile:path}", summary="A tile or an entry bundle", media_type=BYTES,
         sync_to_thread=True, opt=needs(Right.AUDIT))  # fmt: skip
    def get_log_tile(self, backend: Served, tile: FromPath[str]) -> Response[bytes]:
        """`LEVEL/NUMBER[.p/WIDTH]` or `entries/NUMBER[.p/WIDTH]`, as defined by C2SP tlog-tiles."""
        try:
            name = parse_tile_path(tile.removeprefix("/"))
        except Malformed as error:
            raise NotFound(str(error)) from error
        with _log(backend) as connection:
            content = (
                _entries(connection, name) if name.level is None else _hashes(connection, name)
            )
        if content is None:
            raise NotFound(f"tile {name.path} not found")
        return Response(content, media_type=BYTES, headers=FOREVER)


def _hashes(connection: Connection, name: TileName) -> bytes | None:
    hashes = tile_reader(connection)(name.level or 0, name.number)
    length = name.width * HASH_BYTES
    return hashes[:length] if len(hashes) >= length else None


def _entries(connection: Connection, name: TileName) -> bytes | None:
    first = name.number * WIDTH
    last = first + name.width
    if last > tree_size(connection):
        return None
    rows = page_of_events(connection, first, last)
    return bundle([log_entry(*row) for row in rows]) if len(rows) == name.width else None


@contextmanager
def _log(backend: Backend) -> Iterator[Connection]:
    """A connection with one snapshot of the log."""
    with backend.engine.connect() as connection:
        yield cast(Connection, connection.connection.driver_connection)


def _newest(connection: Connection) -> StoredCheckpoint:
    checkpoint = newest_checkpoint(connection)
    if checkpoint is None:
        raise NotFound(
            "no checkpoint is signed yet: check that `stemma run checkpoints` is running"
        )
    return checkpoint


def _known_size(connection: Connection, size: int | None, field: str) -> int:
    """The given size, by default the tree's. Raises `Invalid` where the tree is smaller."""
    largest = tree_size(connection)
    if largest == 0:
        raise NotFound(
            "no checkpoint is signed yet: check that `stemma run checkpoints` is running"
        )
    if size is not None and size > largest:
        raise Invalid(
            f"{field} must be at most {largest}, the size of the newest checkpoint; got {size}",
            field=field,
        )
    return largest if size is None else size


def _view(stored: StoredCheckpoint) -> CheckpointView:
    return CheckpointView(
        stored.size, stored.root.hex(), stored.origin, stored.signed_at, stored.note
    )
