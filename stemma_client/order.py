"""The order of received events: no event is delivered twice, and a gap is detected."""

from __future__ import annotations

from collections import OrderedDict

from stemma_client.errors import StemmaError
from stemma_client.received import Received

SUBJECTS = 100_000
"""The number of subjects whose last revision is stored; the least recently seen are dropped."""


class Gap(StemmaError):
    """Events are missing: read again from an earlier position, or ask your operator."""


class Order:
    """Accepts each event once.

    `every_position` is set if all events are requested, `every_revision` if all events of each
    requested subject are.
    """

    def __init__(self, after: int, *, every_position: bool, every_revision: bool) -> None:
        self.after = after
        self._every_position = every_position
        self._every_revision = every_revision
        self._revisions: OrderedDict[str, int] = OrderedDict()

    def takes(self, received: Received) -> bool:
        """Whether an event is new. Raises `Gap` if an earlier one is missing."""
        if received.position <= self.after:
            return False
        if self._every_position and received.position > self.after + 1:
            raise Gap(f"position {received.position} came after {self.after}")
        if self._every_revision:
            self._check_revision(received)
        self.after = received.position
        return True

    def _check_revision(self, received: Received) -> None:
        subject, revision = received.subject, received.revision
        before = self._revisions.pop(subject, revision - 1)
        if revision != before + 1:
            raise Gap(
                f"revision {revision} of {subject}, at position {received.position}, came after"
                f" revision {before}"
            )
        self._revisions[subject] = revision
        if len(self._revisions) > SUBJECTS:
            self._revisions.popitem(last=False)
