"""Tiles: their published names and widths, and a tree that grows by them."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.audit.merkle import Frontier, leaf_hash, root_at
from domain.audit.signed_note import Malformed
from domain.audit.tiles import (
    GrowingTree,
    TileName,
    bundle,
    parse_tile_path,
    partial_tiles,
    subtrees_of,
)

LEAVES = [leaf_hash(b"%d" % number) for number in range(70_000)]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("0/x001/x234/067", TileName(0, 1_234_067)),  # C2SP tlog-tiles' example
        ("0/000", TileName(0, 0)),
        ("63/999", TileName(63, 999)),
        ("1/x001/000", TileName(1, 1000)),
        ("0/273.p/112", TileName(0, 273, 112)),
        ("entries/x001/234.p/1", TileName(None, 1234, 1)),
    ],
)
def test_a_tiles_name(path: str, name: TileName) -> None:
    assert name.path == path
    assert parse_tile_path(path) == name


@pytest.mark.parametrize(
    "path",
    ["", "0", "0/0", "0/00", "0/0000", "00/000", "64/000", "-1/000", "0/x000/000", "0/001/000",
     "0/x001", "0/000.p/0", "0/000.p/256", "0/000.p/01", "0/000.p/", "0/000/", "/0/000", "0/000\n",
     "leaves/000", "0/\u0661\u0662\u0663"],
)  # fmt: skip
def test_what_names_no_tile_is_refused(path: str) -> None:
    with pytest.raises(Malformed):
        parse_tile_path(path)


@given(st.one_of(st.none(), st.integers(0, 63)), st.integers(0, 10**15), st.integers(1, 256))
def test_a_name_has_one_path(level: int | None, number: int, width: int) -> None:
    name = TileName(level, number, width)
    assert parse_tile_path(name.path) == name


def test_the_tiles_of_the_specifications_example() -> None:
    """A tree of 70,000: 273 full tiles and 112 leaves; one full tile and 17 roots; one root."""
    tree = GrowingTree()
    full = tree.extend(b"".join(LEAVES))
    counts = [sum(tile.level == level for tile in full) for level in range(3)]
    assert counts == [273, 1, 0]
    assert [(one.level, one.number, len(one.hashes) // 32) for one in tree.partial()] == [
        (0, 273, 112),
        (1, 1, 17),
        (2, 0, 1),
    ]
    assert list(partial_tiles(256)) == [(0, 1, 0), (1, 0, 1)]


@given(st.lists(st.integers(0, 400), max_size=6))
def test_however_it_grows_it_has_the_root_of_its_leaves(steps: list[int]) -> None:
    tree, frontier = GrowingTree(), Frontier()
    tiles: dict[tuple[int, int], bytes] = {}
    for step in steps:
        added = LEAVES[tree.size : tree.size + step]
        for leaf in added:
            frontier.append(leaf)
        for tile in [*tree.extend(b"".join(added)), *tree.partial()]:
            tiles[tile.level, tile.number] = tile.hashes
        assert tree.root() == frontier.root()
        assert tree.copy().root() == tree.root()
    subtrees = subtrees_of(lambda level, number: tiles.get((level, number), b""))
    assert root_at(tree.size, subtrees) == tree.root()
    if tree.size:
        assert Frontier.at(tree.size, subtrees).roots == frontier.roots


def test_a_tree_is_not_made_of_other_tiles_than_its_own() -> None:
    with pytest.raises(ValueError, match="not the partial tiles of a tree of 3 leaves"):
        GrowingTree(3, [bytes(64)])
    with pytest.raises(LookupError, match=r"tile 0/000 has no hash"):
        root_at(3, subtrees_of(lambda _, __: bytes(64)))


def entries_of(content: bytes) -> list[bytes]:
    """The entries of a bundle, as a client reads it."""
    file, entries = BytesIO(content), []
    while length := file.read(2):
        entries.append(file.read(int.from_bytes(length)))
    return entries


@given(st.lists(st.binary(max_size=40)))
def test_a_bundle_holds_entries(entries: list[bytes]) -> None:
    assert entries_of(bundle(entries)) == entries
