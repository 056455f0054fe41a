"""What has been received, so that nothing comes twice and no loss goes unseen."""

from collections import OrderedDict

from stemma_client.received import Received

SUBJECTS = 100_000
"""Things whose last revision is remembered; those heard of longest ago are forgotten."""


class Gap(Exception):
    """Events are missing: read again from an earlier position, or ask your operator."""


class Order:
    """Takes each event once.

    `every_position` is for who asks for all events, `every_revision` for who asks for all of each
    thing that they ask about.
    """

    def __init__(self, after: int, *, every_position: bool, every_revision: bool) -> None:
        self.after = after
        self._every_position = every_position
        self._every_revision = every_revision
        self._revisions: OrderedDict[str, int] = OrderedDict()

    def takes(self, received: Received) -> bool:
        """Whether it is new. Raises `Gap` if something was to come before it."""
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
