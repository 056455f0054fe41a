"""Comparison of the tree over the current events with the tree over their stored hashes.

The trees grow together while they are the same. Where they diverge, the log or its stored hashes
were changed.
"""

from collections.abc import Iterator

from adapters.audit.stored import PAGE
from domain.audit.merkle import HASH_BYTES
from domain.audit.tiles import GrowingTree


class TreeComparison:
    """Both trees, which are extended along the log in constant memory."""

    def __init__(self, events: Iterator[bytes], stored: Iterator[bytes]) -> None:
        """Each iterator yields hashes of leaves, any number at a time."""
        self._events, self._stored = _Leaves(events), _Leaves(stored)
        self.current = self.stored = GrowingTree()
        self.diverged_at: int | None = None
        """The first position whose stored hash differs from the current event, if known."""

    def advance(self, size: int) -> None:
        """Extend each tree to `size` leaves or to its end."""
        while self.stored is self.current and self.current.size < size:
            if not self._extend_both(size):
                return
        if self.stored is not self.current:
            _extend(self.current, self._events, size)
            _extend(self.stored, self._stored, size)

    def _extend_both(self, size: int) -> bool:
        """Extend both trees by a page. Returns False if there are no more leaves."""
        count = min(size - self.current.size, PAGE)
        events, stored = self._events.take(count), self._stored.take(count)
        if events == stored:
            self.current.extend(events)
            return bool(events)
        same = _common_leaves(events, stored)
        self.current.extend(events[:same])
        self.stored = self.current.copy()
        if len(stored) > same:
            self.diverged_at = self.current.size + 1
        self.current.extend(events[same:])
        self.stored.extend(stored[same:])
        return True


class _Leaves:
    """A buffer of leaves' hashes, for reads of any count."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._buffer = bytearray()

    def take(self, count: int) -> bytes:
        """The next `count` hashes, or fewer at the end."""
        size = count * HASH_BYTES
        while len(self._buffer) < size and (chunk := next(self._chunks, None)) is not None:
            self._buffer += chunk
        leaves = bytes(self._buffer[:size])
        del self._buffer[:size]
        return leaves


def _extend(tree: GrowingTree, leaves: _Leaves, size: int) -> None:
    while tree.size < size and (more := leaves.take(min(size - tree.size, PAGE))):
        tree.extend(more)


def _common_leaves(first: bytes, second: bytes) -> int:
    """The number of bytes of leaves that are the same at the start of both."""
    shorter = min(len(first), len(second))
    for offset in range(0, shorter, HASH_BYTES):
        end = offset + HASH_BYTES
        if first[offset:end] != second[offset:end]:
            return offset
    return shorter
