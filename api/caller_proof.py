"""Proof of who calls, by what the process knows of a key, and not yet by the log.

A key and its account that were read before are known at revisions of their streams. A request
begins with these, and each answer waits until somebody has found them to be the last ones: the
query in its own snapshot, the command at its commit, or else the server before it answers.
"""

from collections.abc import Mapping
from contextvars import ContextVar


class Proof:
    """The revisions of the streams that a caller was read from; `holds` once they were compared."""

    def __init__(self, revisions: Mapping[str, int]) -> None:
        self.revisions = revisions
        self.holds = False


class CallerChanged(Exception):
    """The key or its account has changed since it was read: the request is repeated."""


PROOF: ContextVar[Proof | None] = ContextVar("proof", default=None)
"""What the request that is being answered rests on; None if its caller was read for it."""


def open_proof() -> Proof | None:
    """The proof of the request that is being answered, if it was not compared yet."""
    proof = PROOF.get()
    return None if proof is None or proof.holds else proof
