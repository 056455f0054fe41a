"""Leaves and the roots over what was left out between them come to the root of the whole tree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.audit.merkle import Frontier, inclusion_proof, leaf_hash
from domain.audit.pruned_tree import Pruning, Subtree

leaves = st.lists(st.booleans(), max_size=70)


def rebuilt(parts: list[Subtree]) -> bytes:
    """The root over neighbouring subtrees, leaves among them, by the definition."""
    tree = Frontier()
    for part in parts:
        width = 1 << part.height
        assert tree.size % width == 0
        roots = [*tree.roots]
        size = tree.size
        root = part.root
        while size & width:
            root = node(roots.pop(), root)
            size -= width
            width <<= 1
        tree = Frontier(tree.size + (1 << part.height), [*roots, root])
    return tree.root()


def node(left: bytes, right: bytes) -> bytes:
    tree = Frontier(1, [left])
    tree.append(right)
    return tree.root()


@given(leaves, st.sets(st.integers(1, 70)))
def test_the_roots_at_every_cut_come_out(kept: list[bool], cuts: set[int]) -> None:
    whole, pruning, parts = Frontier(), Pruning(), list[Subtree]()
    for index, wanted in enumerate(kept):
        leaf = leaf_hash(b"%d" % index)
        whole.append(leaf)
        if wanted:
            parts += pruning.cut()
            pruning.keep()
            parts.append(Subtree(0, leaf))
        else:
            pruning.leave_out(leaf)
        if index + 1 in cuts:
            parts += pruning.cut()
            assert rebuilt(parts) == whole.root()
    parts += pruning.cut()
    assert rebuilt(parts) == whole.root()


def test_of_one_leaf_it_is_its_inclusion_proof() -> None:
    hashes = [leaf_hash(b"%d" % index) for index in range(64)]

    def subtrees(height: int, index: int) -> bytes:
        tree = Frontier()
        for leaf in hashes[index << height : (index + 1) << height]:
            tree.append(leaf)
        return tree.root()

    pruning, roots = Pruning(), set[bytes]()
    for index, leaf in enumerate(hashes):
        if index == 37:
            roots |= {part.root for part in pruning.cut()}
            pruning.keep()
        else:
            pruning.leave_out(leaf)
    roots |= {part.root for part in pruning.cut()}
    assert roots == set(inclusion_proof(37, 64, subtrees))


def test_what_was_left_out_is_taken_first() -> None:
    pruning = Pruning()
    pruning.leave_out(leaf_hash(b""))
    with pytest.raises(ValueError, match="leaves before it"):
        pruning.keep()
