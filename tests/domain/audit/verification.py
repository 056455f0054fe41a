"""What a verifier of proofs does, as RFC 9162 writes it down."""

from collections.abc import Sequence

from domain.audit.merkle import EMPTY_ROOT, node_hash


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Whether the tree has a leaf's hash at `index`: RFC 9162, section 2.1.3.2."""
    if not 0 <= index < size:
        return False
    here, last = index, size - 1
    node = leaf
    for sibling in proof:
        if last == 0:
            return False
        if here & 1 or here == last:
            node = node_hash(sibling, node)
            while not here & 1 and here:
                here >>= 1
                last >>= 1
        else:
            node = node_hash(node, sibling)
        here >>= 1
        last >>= 1
    return last == 0 and node == root


def verify_consistency(
    old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes
) -> bool:
    """Whether the new tree begins with the old one: RFC 9162, section 2.1.4.2.

    Every tree begins with the empty one.
    """
    if not 0 <= old <= new:
        return False
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    if old == new:
        return not proof and old_root == new_root
    if not proof:
        return False
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    here, last = old - 1, new - 1
    while here & 1:
        here >>= 1
        last >>= 1
    older = newer = path[0]
    for node in path[1:]:
        if last == 0:
            return False
        if here & 1 or here == last:
            older = node_hash(node, older)
            newer = node_hash(node, newer)
            while not here & 1 and here:
                here >>= 1
                last >>= 1
        else:
            newer = node_hash(newer, node)
        here >>= 1
        last >>= 1
    return last == 0 and older == old_root and newer == new_root
