"""A pruned Merkle tree: some of its leaves, and the roots of the subtrees over all others.

It is an inclusion proof for all its leaves at once: adding leaves and subtrees from the left gives
the root of the whole tree. It also gives the root after any number of leaves, if no subtree reaches
across that number; this is a consistency proof.
"""

from collections.abc import Iterator

import msgspec

from domain.audit.merkle import node_hash


class Subtree(msgspec.Struct, frozen=True):
    """The root over `1 << height` neighbouring leaves, starting at a multiple of that number."""

    height: int
    root: bytes


class Pruning:
    """Takes a tree's leaves in order, and joins pruned ones into as few subtrees as possible."""

    def __init__(self) -> None:
        self._size = 0
        self._subtrees: list[Subtree] = []

    def leave_out(self, leaf: bytes) -> None:
        """Prune the next leaf, given its hash."""
        index, subtree = self._size, Subtree(0, leaf)
        while index & 1 and self._subtrees and self._subtrees[-1].height == subtree.height:
            root = node_hash(self._subtrees.pop().root, subtree.root)
            index, subtree = index >> 1, Subtree(subtree.height + 1, root)
        self._subtrees.append(subtree)
        self._size += 1

    def keep(self) -> None:
        """Keep the next leaf. Call `cut` first, for the leaves pruned before it."""
        if self._subtrees:
            raise ValueError("leaves before it were left out")
        self._size += 1

    def cut(self) -> Iterator[Subtree]:
        """The subtrees over the leaves pruned since the last cut, from the left."""
        yield from self._subtrees
        self._subtrees.clear()
