"""The tree over the events as they are, beside the tree over the hashes that were stored of them.

They grow together for as long as they are the same. Where they part is where the log, or what was
stored of it, was changed.
"""

from collections.abc import Iterator

from adapters.audit.stored import PAGE
from domain.audit.merkle import HASH_BYTES
from domain.audit.tiles import GrowingTree


class TreeComparison:
    """Both trees, led along the log; memory does not depend on its length."""

    def __init__(self, events: Iterator[bytes], kept: Iterator[bytes]) -> None:
        """Each yields leaves' hashes, any number at a time."""
        self._events, self._kept = _Leaves(events), _Leaves(kept)
        self.now = self.then = GrowingTree()
        self.parted_at: int | None = None
        """The first position at which not the same was stored as is there now, if any is known."""

    def to(self, size: int) -> None:
        """Go on until each tree has `size` leaves or has come to its end."""
        while self.then is self.now and self.now.size < size:
            if not self._step_together(size):
                return
        if self.then is not self.now:
            _grow(self.now, self._events, size)
            _grow(self.then, self._kept, size)

    def _step_together(self, size: int) -> bool:
        """Whether there were more leaves."""
        count = min(size - self.now.size, PAGE)
        events, kept = self._events.take(count), self._kept.take(count)
        if events == kept:
            self.now.extend(events)
            return bool(events)
        same = _common_leaves(events, kept)
        self.now.extend(events[:same])
        self.then = self.now.copy()
        if len(kept) > same:
            self.parted_at = self.now.size + 1
        self.now.extend(events[same:])
        self.then.extend(kept[same:])
        return True


class _Leaves:
    """Hashes of leaves, as many at a time as are wanted."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._buffer = bytearray()

    def take(self, count: int) -> bytes:
        """The next leaves' hashes; fewer than `count` at the end."""
        wanted = count * HASH_BYTES
        while len(self._buffer) < wanted and (chunk := next(self._chunks, None)) is not None:
            self._buffer += chunk
        taken = bytes(self._buffer[:wanted])
        del self._buffer[:wanted]
        return taken


def _grow(tree: GrowingTree, leaves: _Leaves, size: int) -> None:
    while tree.size < size and (more := leaves.take(min(size - tree.size, PAGE))):
        tree.extend(more)


def _common_leaves(one: bytes, other: bytes) -> int:
    """How many bytes of leaves are the same at the beginning of both."""
    shorter = min(len(one), len(other))
    for at in range(0, shorter, HASH_BYTES):
        if one[at : at + HASH_BYTES] != other[at : at + HASH_BYTES]:
            return at
    return shorter
