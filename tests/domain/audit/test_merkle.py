"""Merkle trees against RFC 6962's definition, published vectors, and another implementation."""

from collections.abc import Sequence
from hashlib import sha256

import pymerkle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.audit.merkle import (
    EMPTY_ROOT,
    Frontier,
    Subtrees,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_at,
)
from tests.domain.audit.verification import verify_consistency, verify_inclusion

# The reference vectors of Certificate Transparency: github.com/transparency-dev/merkle,
# testonly/constants.go (LeafInputs, RootHashes), and its proof_test.go, which have them from
# certificate-transparency's cpp/merkletree/merkle_tree_test.cc.
INPUTS = [
    bytes.fromhex(one)
    for one in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = {
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): INCLUSION[0, 8],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
SIZES = st.integers(1, 70)


def naive_root(entries: Sequence[bytes]) -> bytes:
    """MTH, word for word as section 2.1 of RFC 6962 defines it."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    k = naive_split(len(entries))
    both = naive_root(entries[:k]) + naive_root(entries[k:])
    return sha256(b"\x01" + both).digest()


def naive_path(m: int, entries: Sequence[bytes]) -> list[bytes]:
    """PATH of section 2.1.1."""
    if len(entries) == 1:
        return []
    k = naive_split(len(entries))
    if m < k:
        return [*naive_path(m, entries[:k]), naive_root(entries[k:])]
    return [*naive_path(m - k, entries[k:]), naive_root(entries[:k])]


def naive_subproof(m: int, entries: Sequence[bytes], whole: bool) -> list[bytes]:
    """SUBPROOF of section 2.1.2."""
    if m == len(entries):
        return [] if whole else [naive_root(entries)]
    k = naive_split(len(entries))
    if m <= k:
        return [*naive_subproof(m, entries[:k], whole), naive_root(entries[k:])]
    return [*naive_subproof(m - k, entries[k:], False), naive_root(entries[:k])]


def naive_split(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def entries_of(size: int) -> list[bytes]:
    return [b"entry %d" % number for number in range(size)]


def subtrees_of(entries: Sequence[bytes]) -> Subtrees:
    def subtrees(height: int, index: int) -> bytes:
        assert (index + 1) << height <= len(entries), "a subtree that is not full is asked for"
        if height == 0:
            return leaf_hash(entries[index])
        return node_hash(subtrees(height - 1, 2 * index), subtrees(height - 1, 2 * index + 1))

    return subtrees


def test_the_published_roots() -> None:
    frontier = Frontier()
    found = [frontier.root().hex()]
    for entry in INPUTS:
        frontier.append(leaf_hash(entry))
        found.append(frontier.root().hex())
    assert found == ROOTS


@pytest.mark.parametrize(("index", "size"), INCLUSION)
def test_the_published_inclusion_proofs(index: int, size: int) -> None:
    proof = inclusion_proof(index, size, subtrees_of(INPUTS))
    assert [one.hex() for one in proof] == INCLUSION[index, size]
    root = bytes.fromhex(ROOTS[size])
    assert verify_inclusion(leaf_hash(INPUTS[index]), index, size, proof, root)


@pytest.mark.parametrize(("old", "new"), CONSISTENCY)
def test_the_published_consistency_proofs(old: int, new: int) -> None:
    proof = consistency_proof(old, new, subtrees_of(INPUTS))
    assert [one.hex() for one in proof] == CONSISTENCY[old, new]
    assert verify_consistency(old, new, proof, bytes.fromhex(ROOTS[old]), bytes.fromhex(ROOTS[new]))


@given(SIZES)
def test_a_tree_has_the_root_that_the_rfc_defines(size: int) -> None:
    entries = entries_of(size)
    grown = Frontier()
    for entry in entries:
        grown.append(leaf_hash(entry))
    assert grown.root() == naive_root(entries) == root_at(size, subtrees_of(entries))
    assert grown.roots == Frontier.at(size, subtrees_of(entries)).roots


@given(SIZES, st.data())
def test_inclusion_is_proved_as_the_rfc_defines_and_nothing_else_is(
    size: int, data: st.DataObject
) -> None:
    entries = entries_of(size)
    index = data.draw(st.integers(0, size - 1))
    root, leaf = naive_root(entries), leaf_hash(entries[index])
    proof = inclusion_proof(index, size, subtrees_of(entries))
    assert proof == naive_path(index, entries)
    assert verify_inclusion(leaf, index, size, proof, root)
    assert not verify_inclusion(leaf_hash(b"another"), index, size, proof, root)
    assert not verify_inclusion(leaf, index, size, [*proof, leaf], root)
    assert not verify_inclusion(leaf, index, size, proof, EMPTY_ROOT)
    other = data.draw(st.integers(-1, size + 1).filter(lambda one: one != index))
    assert not verify_inclusion(leaf, other, size, proof, root)
    for place in range(len(proof)):
        assert not verify_inclusion(leaf, index, size, proof[:place], root)
        assert not verify_inclusion(leaf, index, size, changed(proof, place), root)


@given(SIZES, st.data())
def test_consistency_is_proved_as_the_rfc_defines_and_nothing_else_is(
    new: int, data: st.DataObject
) -> None:
    entries = entries_of(new)
    old = data.draw(st.integers(1, new))
    roots = naive_root(entries[:old]), naive_root(entries)
    proof = consistency_proof(old, new, subtrees_of(entries))
    assert proof == naive_subproof(old, entries, True)
    assert verify_consistency(old, new, proof, *roots)
    assert not verify_consistency(old, new, [*proof, roots[0]], *roots)
    assert not verify_consistency(old, new, proof, EMPTY_ROOT, roots[1])
    assert not verify_consistency(old, new, proof, roots[0], EMPTY_ROOT)
    for place in range(len(proof)):
        assert not verify_consistency(old, new, proof[:place], *roots)
        assert not verify_consistency(old, new, changed(proof, place), *roots)


def changed(proof: Sequence[bytes], place: int) -> list[bytes]:
    return [*proof[:place], bytes(32), *proof[place + 1 :]]


def test_every_tree_begins_with_the_empty_one() -> None:
    assert consistency_proof(0, 5, subtrees_of([])) == []
    assert verify_consistency(0, 5, [], EMPTY_ROOT, bytes(32))
    assert not verify_consistency(0, 5, [], bytes(32), bytes(32))
    assert Frontier().root() == root_at(0, subtrees_of([])) == EMPTY_ROOT


def test_what_is_not_in_the_tree_has_no_proof() -> None:
    subtrees = subtrees_of(entries_of(4))
    with pytest.raises(ValueError, match="4 leaves has no leaf 4"):
        inclusion_proof(4, 4, subtrees)
    with pytest.raises(ValueError, match="4 leaves does not contain one of 5"):
        consistency_proof(5, 4, subtrees)
    assert not verify_consistency(5, 4, [], bytes(32), bytes(32))
    with pytest.raises(ValueError, match="1 subtrees do not make 3 leaves"):
        Frontier(3, [bytes(32)])


@given(SIZES, st.data())
def test_another_implementation_takes_the_roots_and_proofs(size: int, data: st.DataObject) -> None:
    """pymerkle, by other authors. Its consistency proofs hold more hashes than the RFC's: that it
    accepts our roots as those of one log is what is compared."""
    entries = entries_of(size)
    theirs = pymerkle.InmemoryTree(algorithm="sha256")
    for entry in entries:
        theirs.append_entry(entry)
    index = data.draw(st.integers(0, size - 1))
    subtrees = subtrees_of(entries)
    root, leaf = root_at(size, subtrees), leaf_hash(entries[index])
    proof = theirs.prove_inclusion(index + 1, size)
    proof.path = [leaf, *inclusion_proof(index, size, subtrees)]
    pymerkle.verify_inclusion(leaf, root, proof, index=index + 1, size=size)
    old = data.draw(st.integers(1, size))
    consistency = theirs.prove_consistency(old, size)
    pymerkle.verify_consistency(root_at(old, subtrees), root, consistency)
    with pytest.raises(pymerkle.InvalidProof):
        pymerkle.verify_inclusion(leaf, EMPTY_ROOT, proof)
