"""Signing of the log: the tree is extended to the log's end, and its checkpoint is signed."""

import threading
import time
from collections.abc import Iterator

import msgspec

from adapters.audit.checkpoint_file import CheckpointFile, SigningRefused
from adapters.audit.keys import Keys
from adapters.audit.signing import Unsigned, open_checkpoint, sign
from adapters.audit.stored import (
    PAGE,
    Connection,
    Row,
    events,
    head,
    leaf_of,
    leaf_tiles,
    load_tree,
    lock_tree,
    newest_checkpoint,
    page_of_events,
    save_checkpoint,
    save_tiles,
    tile_reader,
    tree_size,
)
from adapters.audit.tree_comparison import TreeComparison
from adapters.audit.whole_log import compare_whole_log, delete_tiles, dense_leaves
from domain.audit.merkle import HASH_BYTES, root_at
from domain.audit.signed_note import Malformed, SigningKey
from domain.audit.tiles import WIDTH, GrowingTree, subtrees_of
from domain.audit.transparency import Checkpoint

TAIL = 20 * PAGE
"""The last events that are compared before anything is signed: 102,400, in about a second."""


class Pace(msgspec.Struct, frozen=True):
    """The interval of checkpoints: one is due after `events` new events, or `seconds` after the
    last one if there is any new event."""

    events: int
    seconds: float


class Signer:
    """The signer of a log. Several signers may work on one log with the same keys.

    Connections must be in autocommit mode.
    """

    def __init__(self, keys: Keys, file: CheckpointFile, pace: Pace) -> None:
        self._keys = keys
        self._file = file
        self._pace = pace
        self._signed = 0
        self._signed_at = -pace.seconds
        self._uncompared: Checkpoint | None = None
        self._contradiction = ""

    def begin(self, connection: Connection, *, whole: bool = False) -> None:
        """Compare the log with the last signed checkpoint, and complete an interrupted signing.

        Of a log of more than `TAIL` events, that is the stored tree and the last `TAIL` events, and
        all if these differ, or if `whole`. `compare` takes the others. Raises `SigningRefused` if
        events differ. Stored hashes that do not fit the events are deleted and computed again.
        """
        with self._keys.locked(), connection.transaction():
            keys = self._keys.signing()
            last = self._file.last(self._keys.verifiers())
            if last is not None:
                save_checkpoint(connection, *last)
            lock_tree(connection)
            signed = self._newest_signed(connection, keys)
            self._signed = 0 if signed is None else signed.size
            if signed is not None and not whole and _end_fits(connection, signed):
                self._uncompared = signed
            else:
                _compare_all(connection, signed)

    def compare(self, connection: Connection, stop: threading.Event) -> None:
        """Compare what `begin` left out, in a thread beside the signing; return when `stop` is set.

        If an event differs, `sign_if_due` raises `SigningRefused` from then on.
        """
        signed = self._uncompared
        if signed is None:
            return
        trees = compare_whole_log(connection, signed, stop)
        if trees is None:
            return
        if (trees.current.size, trees.current.root()) != (signed.size, signed.root):
            self._contradiction = _changed(signed, trees)
        elif trees.stored is not trees.current:
            delete_tiles(connection)

    def sign_if_due(self, connection: Connection) -> Checkpoint | None:
        """Sign a checkpoint if one is due. Raises `SigningRefused` if it contradicts an earlier
        one."""
        if self._contradiction:
            raise SigningRefused(self._contradiction)
        with self._keys.locked():
            keys = self._keys.signing()
            end = head(connection)
            if end < self._signed:
                raise SigningRefused(_shorter(end, self._signed))
            if not self._is_due(end - self._signed) and len(keys) == 1:
                return None
            while _extend(connection, end):
                pass
            checkpoint = self._sign(connection, keys)
            if len(keys) > 1:
                self._keys.retire(keys)
            self._signed, self._signed_at = checkpoint.size, time.monotonic()
            return checkpoint

    def _is_due(self, new: int) -> bool:
        waited = time.monotonic() - self._signed_at
        return new >= self._pace.events or (new > 0 and waited >= self._pace.seconds)

    def _sign(self, connection: Connection, keys: list[SigningKey]) -> Checkpoint:
        """Sign a checkpoint. It is written to the file first, which has every published one."""
        with connection.transaction():
            lock_tree(connection)
            tree = load_tree(connection)
            signed = self._newest_signed(connection, keys)
            if signed is not None:
                _refuse_contradiction(connection, tree, signed)
            checkpoint = Checkpoint(keys[0].verifier.name, tree.size, tree.root())
            note = str(sign(checkpoint.text(), keys))
            self._file.append(note)
            save_checkpoint(connection, checkpoint, note)
        return checkpoint

    def _newest_signed(self, connection: Connection, keys: list[SigningKey]) -> Checkpoint | None:
        """The largest checkpoint signed with these keys, of the file and of the database."""
        verifiers = self._keys.verifiers()
        last = self._file.last(verifiers)
        stored = newest_checkpoint(connection, keys[0].verifier.name)
        checkpoints: list[Checkpoint] = [] if last is None else [last[0]]
        if stored is not None:
            try:
                checkpoints.append(open_checkpoint(stored.note, verifiers)[0])
            except (Malformed, Unsigned) as error:
                raise SigningRefused(
                    f"checkpoint {stored.checkpoint_id} of the database was changed since it was"
                    f" signed: {error}"
                ) from error
        return max(checkpoints, key=lambda checkpoint: checkpoint.size, default=None)


def _end_fits(connection: Connection, signed: Checkpoint) -> bool:
    """Whether the stored tree has a signed checkpoint's root, and the last events their hashes."""
    size, read = tree_size(connection), tile_reader(connection)
    if size <= TAIL or size < signed.size or head(connection) < size:
        return False
    try:
        load_tree(connection)
        if root_at(signed.size, subtrees_of(read)) != signed.root:
            return False
    except ValueError:
        return False
    first = max(0, size - TAIL) // WIDTH
    stored = b"".join(read(0, number) for number in range(first, -(-size // WIDTH)))
    current = dense_leaves(events(connection, first * WIDTH, size), first * WIDTH)
    return stored[: (size - first * WIDTH) * HASH_BYTES] == b"".join(current)


def _compare_all(connection: Connection, signed: Checkpoint | None) -> None:
    size = 0 if signed is None else signed.size
    trees = TreeComparison(dense_leaves(events(connection)), leaf_tiles(connection))
    trees.advance(size)
    current = trees.current
    if signed is not None and (current.size, current.root()) != (size, signed.root):
        raise SigningRefused(_changed(signed, trees))
    if not _tiles_fit(connection, trees):
        delete_tiles(connection)


def _tiles_fit(connection: Connection, trees: TreeComparison) -> bool:
    """Whether the stored tree can be extended."""
    size = tree_size(connection)
    trees.advance(size)
    if trees.diverged_at is not None or trees.current.size < size:
        return False
    try:
        stored = load_tree(connection)
    except ValueError:
        return False
    return size <= trees.current.size and stored.root() == trees.current.root()


def _extend(connection: Connection, end: int) -> bool:
    """Add the next page of events to the stored tree. Returns False if there was none."""
    with connection.transaction():
        lock_tree(connection)
        tree = load_tree(connection)
        page = page_of_events(connection, tree.size, end)
        if not page:
            return False
        full = tree.extend(b"".join(_dense(page, tree.size)))
        save_tiles(connection, [*full, *tree.partial()])
    return True


def _dense(page: list[Row], size: int) -> Iterator[bytes]:
    for expected, row in enumerate(page, start=size + 1):
        if row[0] != expected:
            raise SigningRefused(f"event {expected} is missing from the log: `stemma audit verify`")
        try:
            yield leaf_of(row)
        except ValueError as error:
            raise SigningRefused(f"event {expected} was not written by Stemma: {error}") from error


def _refuse_contradiction(connection: Connection, tree: GrowingTree, signed: Checkpoint) -> None:
    if tree.size < signed.size:
        raise SigningRefused(_shorter(tree.size, signed.size))
    if root_at(signed.size, subtrees_of(tile_reader(connection))) != signed.root:
        raise SigningRefused(_changed(signed, None))


def _shorter(size: int, signed: int) -> str:
    return (
        f"the log has {size} events, and a checkpoint over {signed} was signed: its end was cut"
        " off, or the database is an older copy. Restore the newer one; until then nothing is"
        " signed"
    )


def _changed(signed: Checkpoint, trees: TreeComparison | None) -> str:
    if trees is not None and trees.current.size < signed.size:
        return _shorter(trees.current.size, signed.size)
    diverged_at = None if trees is None else trees.diverged_at
    where = "" if diverged_at is None else f", from event {diverged_at} on"
    return (
        f"the log's first {signed.size} events are not those of a signed checkpoint{where}:"
        " `stemma audit verify` shows more. Restore the right ones; until then nothing is signed"
    )
