"""A Merkle tree with some of its leaves, and in place of the others the roots over them.

It proves of all its leaves at once what an inclusion proof says of one: whoever adds leaves and
subtrees up from the left comes to the root of the whole tree. The roots after any number of leaves
come out on the way, if no subtree reaches across that number; this is a consistency proof.
"""

from collections.abc import Iterator

import msgspec

from domain.audit.merkle import node_hash


class Subtree(msgspec.Struct, frozen=True):
    """The root over `1 << height` neighbouring leaves, from a multiple of that number on."""

    height: int
    root: bytes


class Pruning:
    """Takes a tree's leaves in order, and joins those left out into as few subtrees as can be."""

    def __init__(self) -> None:
        self._size = 0
        self._waiting: list[Subtree] = []

    def leave_out(self, leaf: bytes) -> None:
        """The hash of the next leaf, which is not wanted itself."""
        place, subtree = self._size, Subtree(0, leaf)
        while place & 1 and self._waiting and self._waiting[-1].height == subtree.height:
            root = node_hash(self._waiting.pop().root, subtree.root)
            place, subtree = place >> 1, Subtree(subtree.height + 1, root)
        self._waiting.append(subtree)
        self._size += 1

    def keep(self) -> None:
        """The next leaf is wanted. What was left out before it is to be taken first, by `cut`."""
        if self._waiting:
            raise ValueError("leaves that were left out come before it")
        self._size += 1

    def cut(self) -> Iterator[Subtree]:
        """The subtrees over what was left out since the last cut, from the left."""
        yield from self._waiting
        self._waiting.clear()
