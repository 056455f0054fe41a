"""Group commit: appends that wait while another one is committed share the next transaction.

Nobody waits for company. An append that finds none in progress is committed at once; those that
come meanwhile are committed together by the first of them, in one transaction and one round trip.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any

import msgspec
from eventsourcing.persistence import InterfaceError, OperationalError
from psycopg.sql import Composed

LARGEST, MOST_EVENTS = 64, 1000
"""The most appends that share a transaction, and the most events of these."""

log = logging.getLogger(__name__)


class Append(msgspec.Struct, frozen=True, eq=False):
    """An append as a statement. `writes` names what another append of its transaction may neither
    write nor rest on: streams, its command id, its feed. `rests_on` are streams that it read."""

    statement: Composed
    parameters: tuple[Any, ...]
    events: int
    writes: frozenset[str]
    rests_on: frozenset[str]


class _Turn(Enum):
    WAIT = auto()
    LEAD = auto()
    ALONE = auto()
    DONE = auto()


class _Waiting:
    """An append whose thread waits for its turn."""

    def __init__(self, append: Append) -> None:
        self.append = append
        self.turn = _Turn.WAIT
        self.head = 0
        self.woken = threading.Event()

    def wake(self, turn: _Turn, head: int = 0) -> None:
        self.head, self.turn = head, turn
        self.woken.set()


class GroupCommit:
    """Commits appends, together where several wait. Safe to use from many threads.

    `commit` saves appends in one transaction and returns the log's end before each. `alone` saves
    one, and tries again while the log is not reachable.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Append]], Sequence[int]],
        alone: Callable[[Append], int],
    ) -> None:
        self._commit = commit
        self._alone = alone
        self._changing = threading.Lock()
        self._busy = False
        self._waiting: list[_Waiting] = []

    def append(self, append: Append) -> int:
        """Save an append; return the log's end before it. Raises what `commit` or `alone` raises
        for this append: one that is refused leaves the others of its transaction alone."""
        mine = _Waiting(append)
        with self._changing:
            if self._busy:
                self._waiting.append(mine)
            else:
                self._busy, mine.turn = True, _Turn.LEAD
        if mine.turn is _Turn.WAIT:
            mine.woken.wait()
        if mine.turn is _Turn.DONE:
            return mine.head
        return self._lead(mine) if mine.turn is _Turn.LEAD else self._alone(append)

    def _lead(self, mine: _Waiting) -> int:
        with self._changing:
            batch = self._take(mine)
        unreachable = False
        try:
            heads = self._commit([waiting.append for waiting in batch])
            for waiting, head in zip(batch[1:], heads[1:], strict=True):
                waiting.wake(_Turn.DONE, head)
            return heads[0]
        except (InterfaceError, OperationalError):
            unreachable = True
        except Exception as error:
            if len(batch) == 1:
                raise
            log.info("%d appends are committed one by one: %r", len(batch), error)
        finally:
            self._hand_over(batch[1:], everyone=unreachable)
        return self._alone(mine.append)

    def _take(self, first: _Waiting) -> list[_Waiting]:
        """One that waits, and all others that can share its transaction."""
        batch, kept = [first], []
        events, written, read = first.append.events, first.append.writes, first.append.rests_on
        for waiting in self._waiting:
            append = waiting.append
            if (
                len(batch) < LARGEST
                and events + append.events <= MOST_EVENTS
                and written.isdisjoint(append.writes)
                and written.isdisjoint(append.rests_on)
                and read.isdisjoint(append.writes)
            ):
                batch.append(waiting)
                events += append.events
                written, read = written | append.writes, read | append.rests_on
            else:
                kept.append(waiting)
        self._waiting = kept
        return batch

    def _hand_over(self, batch: Sequence[_Waiting], *, everyone: bool) -> None:
        """Let those go on alone whose transaction failed, `everyone` if all waiting would fail so,
        and let the next one lead."""
        with self._changing:
            released = [*batch, *self._waiting] if everyone else list(batch)
            if everyone:
                self._waiting = []
            following = self._waiting.pop(0) if self._waiting else None
            self._busy = following is not None
        for waiting in released:
            if waiting.turn is _Turn.WAIT:
                waiting.wake(_Turn.ALONE)
        if following is not None:
            following.wake(_Turn.LEAD)
