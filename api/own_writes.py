"""Who writes sees it: queries of an account wait for what it wrote a moment ago."""

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextvars import ContextVar

from domain.event import Recorded

REMEMBERED_SECONDS = 5.0
"""After that, read models that are not as far are too far behind to wait for."""
REMEMBERED = 10_000
"""Actors; the one that wrote first is forgotten first."""

SEEN_FROM: ContextVar[int] = ContextVar("seen_from", default=0)
"""The position that the query which is being answered shows at least, if it names none."""


class OwnWrites:
    """The position of each actor's last write. Safe to use from many threads.

    They belong to one process: what an account writes through another process is not waited for.
    """

    def __init__(self) -> None:
        self._last: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._changing = threading.Lock()

    def note(self, events: Sequence[Recorded], position: int) -> None:
        """Called after events were saved, the last at `position`."""
        now = time.monotonic()
        with self._changing:
            for actor in {recorded.metadata.actor for recorded in events}:
                self._last[actor] = position, now
                self._last.move_to_end(actor)
            while len(self._last) > REMEMBERED:
                self._last.popitem(last=False)

    def last(self, actor: str) -> int:
        """The position of the actor's last write; 0 if that is long ago."""
        with self._changing:
            position, at = self._last.get(actor, (0, 0.0))
        return position if time.monotonic() - at < REMEMBERED_SECONDS else 0

    def forget(self, actor: str) -> None:
        """Wait no more for what the actor wrote: read models do not get there."""
        with self._changing:
            self._last.pop(actor, None)
