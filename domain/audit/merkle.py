"""Merkle trees of RFC 6962, section 2.1: hashes, growth and proofs.

Leaves and nodes are SHA-256 hashes of 32 bytes. A tree's leaves are counted from 0.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()

Subtrees = Callable[[int, int], bytes]
"""`subtrees(height, index)` is the root over `1 << height` leaves, beginning with leaf
`index << height`. It is called only for full subtrees."""


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """A growing tree, held as the roots of its full subtrees, largest first.

    Its root and its growth depend on nothing else: some 20 hashes for a million leaves.
    """

    def __init__(self, size: int = 0, roots: Iterable[bytes] = ()) -> None:
        self.size = size
        self._roots = list(roots)
        if len(self._roots) != size.bit_count():
            raise ValueError(f"{len(self._roots)} subtrees do not make {size} leaves")

    @classmethod
    def at(cls, size: int, subtrees: Subtrees) -> "Frontier":
        """The tree of the first `size` leaves."""
        return cls(size, (subtrees(height, index) for height, index in _full(0, size)))

    @property
    def roots(self) -> tuple[bytes, ...]:
        return tuple(self._roots)

    def append(self, leaf: bytes) -> None:
        """Add the hash of the next leaf."""
        roots, size = self._roots, self.size
        while size & 1:
            leaf = sha256(b"\x01" + roots.pop() + leaf).digest()
            size >>= 1
        roots.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """MTH(D[size])."""
        return join_roots(self._roots)


def full_root(hashes: bytes) -> bytes:
    """The root over the concatenated `hashes` of neighbouring nodes; their number is a power of
    two."""
    pair = 2 * HASH_BYTES
    while len(hashes) > HASH_BYTES:
        pairs = range(0, len(hashes), pair)
        hashes = b"".join([sha256(b"\x01" + hashes[at : at + pair]).digest() for at in pairs])
    return hashes


def root_at(size: int, subtrees: Subtrees) -> bytes:
    """MTH(D[size])."""
    return _root(0, size, subtrees)


def inclusion_proof(index: int, size: int, subtrees: Subtrees) -> list[bytes]:
    """PATH(index, D[size]) of section 2.1.1. Raises `ValueError` if there is no such leaf."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    proof = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            proof.append(_root(middle, end, subtrees))
            end = middle
        else:
            proof.append(_root(begin, middle, subtrees))
            begin = middle
    return proof[::-1]


def consistency_proof(old: int, new: int, subtrees: Subtrees) -> list[bytes]:
    """PROOF(old, D[new]) of section 2.1.2; empty if `old` is 0 or `new`.

    Raises `ValueError` if `old` is larger than `new`.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} leaves does not contain one of {old}")
    if old == 0:
        return []
    proof = []
    begin, end = 0, new
    while old != end:
        middle = begin + _split(end - begin)
        if old <= middle:
            proof.append(_root(middle, end, subtrees))
            end = middle
        else:
            proof.append(_root(begin, middle, subtrees))
            begin = middle
    if begin:  # whoever has the old root knows this subtree only if it is the whole old tree
        proof.append(_root(begin, end, subtrees))
    return proof[::-1]


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def _full(begin: int, end: int) -> Iterator[tuple[int, int]]:
    """The (height, index) of the full subtrees that make up a range, largest first.

    `begin` is the first leaf of a subtree of the whole tree.
    """
    while begin < end:
        height = (end - begin).bit_length() - 1
        yield height, begin >> height
        begin += 1 << height


def _root(begin: int, end: int, subtrees: Subtrees) -> bytes:
    """MTH(D[begin:end])."""
    return join_roots([subtrees(height, index) for height, index in _full(begin, end)])


def join_roots(roots: Sequence[bytes]) -> bytes:
    """The root of a tree that consists of these full subtrees, largest first."""
    if not roots:
        return EMPTY_ROOT
    root = roots[-1]
    for left in roots[-2::-1]:
        root = node_hash(left, root)
    return root
