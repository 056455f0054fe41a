"""A Merkle tree in tiles (C2SP tlog-tiles): their names, growth and use.

A tile of level 0 holds the hashes of 256 neighbouring leaves. A tile of level 1 holds the roots of
256 full tiles of level 0, and so on. The last tile of a level may be partial.
"""

import re
from collections.abc import Callable, Iterator, Sequence

import msgspec

from domain.audit.merkle import HASH_BYTES, Subtrees, full_root, join_roots
from domain.audit.signed_note import Malformed

HEIGHT = 8
WIDTH = 1 << HEIGHT
TILE_BYTES = WIDTH * HASH_BYTES
ENTRIES = "entries"

_PATH = re.compile(
    r"(?P<level>entries|0|[1-9]|[1-5][0-9]|6[0-3])/"
    r"(?P<number>(?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


class TileName(msgspec.Struct, frozen=True):
    """The level, number and width of a tile; `level` is None for a bundle of entries."""

    level: int | None
    number: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """The part of its address after `tile/`, such as `0/x001/x234/067.p/5`."""
        level = ENTRIES if self.level is None else self.level
        groups = [f"{self.number % 1000:03}"]
        rest = self.number // 1000
        while rest:
            groups.insert(0, f"x{rest % 1000:03}")
            rest //= 1000
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"{level}/{'/'.join(groups)}{partial}"


def parse_tile_path(path: str) -> TileName:
    """The tile's name. Raises `Malformed`, also for a number in a non-canonical form."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise Malformed(f"{path[:80]!r} does not name a tile")
    level, number, width = match["level"], match["number"], match["width"]
    name = TileName(
        None if level == ENTRIES else int(level),
        int(re.sub(r"[x/]", "", number)),
        WIDTH if width is None else int(width),
    )
    if name.path != path:
        raise Malformed(f"{path[:80]!r} does not name a tile")
    return name


class Tile(msgspec.Struct, frozen=True):
    """The concatenated hashes of a tile; fewer than 256 if it is partial."""

    level: int
    number: int
    hashes: bytes


class GrowingTree:
    """A tree that grows by leaves' hashes and returns its tiles as they become full.

    It holds only the partial tiles: its growth depends on nothing else.
    """

    def __init__(self, size: int = 0, partial: Sequence[bytes] = ()) -> None:
        """`partial` are the hashes of the last tile of each level, beginning with level 0."""
        self.size = size
        self._partial = [bytearray(hashes) for hashes in partial]
        widths = [len(hashes) // HASH_BYTES for hashes in self._partial]
        if widths != [width for _, _, width in partial_tiles(size)]:
            raise ValueError(f"these are not the partial tiles of a tree of {size} leaves")

    def copy(self) -> "GrowingTree":
        return GrowingTree(self.size, [bytes(hashes) for hashes in self._partial])

    def extend(self, leaves: bytes) -> list[Tile]:
        """Add leaves by their concatenated hashes; return the tiles that became full."""
        full: list[Tile] = []
        before = self.size
        self.size += len(leaves) // HASH_BYTES
        added, level = leaves, 0
        while added:
            if level == len(self._partial):
                self._partial.append(bytearray())
            pending = self._partial[level]
            pending += added
            first = before >> HEIGHT * (level + 1)
            done = len(pending) // TILE_BYTES * TILE_BYTES
            tiles = [bytes(pending[at : at + TILE_BYTES]) for at in range(0, done, TILE_BYTES)]
            del pending[:done]
            full += [Tile(level, number, tile) for number, tile in enumerate(tiles, start=first)]
            added = b"".join([full_root(tile) for tile in tiles])
            level += 1
        return full

    def partial(self) -> Iterator[Tile]:
        """The partial tiles, one at most for each level."""
        for level, number, width in partial_tiles(self.size):
            if width:
                yield Tile(level, number, bytes(self._partial[level]))

    def root(self) -> bytes:
        """MTH(D[size])."""
        roots: list[bytes] = []
        for hashes in reversed(self._partial):
            begin = 0
            for height in reversed(range(HEIGHT)):
                length = HASH_BYTES << height
                if len(hashes) & length:
                    roots.append(full_root(bytes(hashes[begin : begin + length])))
                    begin += length
        return join_roots(roots)


def partial_tiles(size: int) -> Iterator[tuple[int, int, int]]:
    """Level, number and width of the last tile of each level; the width is 0 if all are full."""
    level = 0
    while size:
        yield level, size >> HEIGHT, size % WIDTH
        size >>= HEIGHT
        level += 1


def subtrees_of(read: Callable[[int, int], bytes]) -> Subtrees:
    """The full subtrees of a tree whose tiles `read(level, number)` returns.

    Raises `LookupError` if a tile is narrower than the tree requires.
    """

    def subtrees(height: int, index: int) -> bytes:
        level, rest = divmod(height, HEIGHT)
        first = index << rest
        number, begin = divmod(first * HASH_BYTES, TILE_BYTES)
        end = begin + (HASH_BYTES << rest)
        hashes = read(level, number)
        if len(hashes) < end:
            raise LookupError(f"tile {TileName(level, number).path} has no hash {end - 1}")
        return full_root(hashes[begin:end])

    return subtrees


def bundle(entries: Sequence[bytes]) -> bytes:
    """A bundle of entries as clients fetch it: each entry after its length in two bytes."""
    return b"".join(len(entry).to_bytes(2) + entry for entry in entries)
