"""Proofs of the log's tree are checked: those that the log makes hold, and no altered one does."""

import base64

import pytest

from domain.audit import merkle as log
from stemma_client import NotProven
from stemma_client.merkle import KeptCheckpoint, check_consistency, checkpoint_in, root_by

SIZES = range(1, 18)
LEAVES = [log.leaf_hash(str(number).encode()) for number in range(SIZES[-1])]


def subtrees(height: int, index: int) -> bytes:
    width = 1 << height
    return log.full_root(b"".join(LEAVES[index * width : (index + 1) * width]))


def kept(size: int) -> KeptCheckpoint:
    return KeptCheckpoint("log", size, log.root_at(size, subtrees))


def test_every_leaf_is_proven_in_every_tree() -> None:
    for size in SIZES:
        for index in range(size):
            proof = log.inclusion_proof(index, size, subtrees)
            assert root_by(LEAVES[index], index, size, proof) == kept(size).root


def test_every_tree_is_proven_to_begin_with_every_smaller_one() -> None:
    for new in SIZES:
        for old in range(1, new + 1):
            proof = log.consistency_proof(old, new, subtrees)
            check_consistency(kept(old), new, kept(new).root, proof)


def test_no_other_leaf_is_proven() -> None:
    for size in SIZES[1:]:
        proof = log.inclusion_proof(0, size, subtrees)
        assert root_by(LEAVES[1], 0, size, proof) != kept(size).root
        for wrong in (proof[:-1], [*proof, LEAVES[0]]):
            with pytest.raises(NotProven, match=r"too (long|short)"):
                root_by(LEAVES[0], 0, size, wrong)
    with pytest.raises(NotProven, match="no leaf 3"):
        root_by(LEAVES[0], 3, 3, [])


def test_no_other_tree_is_proven_to_be_longer() -> None:
    for new in SIZES[1:]:
        for old in range(1, new):
            proof = log.consistency_proof(old, new, subtrees)
            forged = KeptCheckpoint("log", old, LEAVES[-1])
            with pytest.raises(NotProven):
                check_consistency(forged, new, kept(new).root, proof)
            with pytest.raises(NotProven):
                check_consistency(kept(old), new, LEAVES[-1], proof)
            with pytest.raises(NotProven):
                check_consistency(kept(old), new, kept(new).root, [*proof, LEAVES[0]])
    with pytest.raises(NotProven, match="another root"):
        check_consistency(kept(3), 3, LEAVES[0], [])


def test_the_newest_of_the_checkpoints_kept_counts() -> None:
    notes = [
        f"log\n{size}\n{base64.b64encode(kept(size).root).decode()}\n\n\u2014 log c2lnbmF0dXJl\n"
        for size in (2, 5, 3)
    ]
    assert checkpoint_in("\n".join(notes)) == kept(5)


@pytest.mark.parametrize("text", ["", "log\n5\n", "log\nfive\nAAAA\n\n", "log\n5\nAAAA\n\n"])
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NotProven, match="checkpoint"):
        checkpoint_in(text)
