"""Proof of who calls, by what the process knows of a key or session, and not yet by the database.

A key and its account that were read before are known at revisions of their streams, and a session
by its digest. A request begins with these, and each answer waits until somebody has found the
revisions to be the last ones, and the session to be there: the query in its own snapshot, the
command at its commit, or else the server before it answers.
"""

from collections.abc import Mapping
from contextvars import ContextVar

from adapters.access.sessions import IS_THERE
from application.log.recorder import are_last


class Proof:
    """The revisions of the streams that a caller was read from, and the digest of its session if it
    has one; `holds` once they were compared."""

    def __init__(self, revisions: Mapping[str, int], session: str | None = None) -> None:
        self.revisions = revisions
        self.session = session
        self.holds = False

    def condition(self) -> tuple[str, list[object]]:
        """The condition in SQL that nothing of it has changed, and its parameters."""
        condition = are_last(len(self.revisions))
        parameters: list[object] = [value for each in self.revisions.items() for value in each]
        if self.session is None:
            return condition, parameters
        return f"{condition} AND {IS_THERE}", [*parameters, self.session]


class CallerChanged(Exception):
    """The key or its account has changed since it was read: the request is repeated."""


PROOF: ContextVar[Proof | None] = ContextVar("proof", default=None)
"""What the request that is being answered rests on; None if its caller was read for it."""


def open_proof() -> Proof | None:
    """The proof of the request that is being answered, if it was not compared yet."""
    proof = PROOF.get()
    return None if proof is None or proof.holds else proof
