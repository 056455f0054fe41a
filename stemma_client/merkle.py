"""Proofs of Merkle trees (RFC 6962), checked: RFC 9162, sections 2.1.3.2 and 2.1.4.2."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from stemma_client.errors import NotProven

DASH = "\u2014"


class KeptCheckpoint(NamedTuple):
    """The root of the tree over the first `size` events, as the log once signed it."""

    origin: str
    size: int
    root: bytes


def checkpoint_in(text: str) -> KeptCheckpoint:
    """The checkpoint over the most events in a text of signed notes (C2SP tlog-checkpoint).

    Its signature is not checked: you trust what you kept.
    """
    lines = [line for line in text.splitlines() if line and not line.startswith(DASH)]
    notes = zip(lines[::3], lines[1::3], lines[2::3])  # noqa: B905 (3.10)
    try:
        found = [
            KeptCheckpoint(origin, int(size), base64.b64decode(root, validate=True))
            for origin, size, root in notes
        ]
    except (ValueError, binascii.Error) as error:
        raise NotProven(
            "the text is not a checkpoint of a log: three lines, an empty one and signatures"
        ) from error
    if not found or any(len(one.root) != hashlib.sha256().digest_size for one in found):
        raise NotProven("the text has no checkpoint: its lines must be origin, size and root")
    return max(found, key=lambda one: one.size)


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_by(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The root that an inclusion proof leads to. Raises `NotProven` for one of another length."""
    place, last, root = index, size - 1, leaf
    if not 0 <= index < size:
        raise NotProven(f"a tree of {size} leaves has no leaf {index}")
    for step in proof:
        if last == 0:
            raise NotProven("the proof is too long")
        if place & 1 or place == last:
            root = node_hash(step, root)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            root = node_hash(root, step)
        place, last = place >> 1, last >> 1
    if last != 0:
        raise NotProven("the proof is too short")
    return root


def check_consistency(old: KeptCheckpoint, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Raise `NotProven` unless the tree of this size and root begins with the old one."""
    if old.size == size:
        if proof or root != old.root:
            raise NotProven("the log of this size has another root than the one that you kept")
        return
    steps = list(proof) if old.size & (old.size - 1) else [old.root, *proof]
    if not 0 < old.size < size or not steps:
        raise NotProven(f"a log of {size} events does not begin with one of {old.size}")
    place, last = old.size - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    first = second = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise NotProven("the proof is too long")
        if place & 1 or place == last:
            first, second = node_hash(step, first), node_hash(step, second)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            second = node_hash(second, step)
        place, last = place >> 1, last >> 1
    if last != 0 or first != old.root or second != root:
        raise NotProven(
            f"the log of {size} events does not begin with the {old.size} that you kept the"
            " checkpoint of: it was altered"
        )
