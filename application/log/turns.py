"""Turns of a process's commands at streams that several of them change.

A command that another one preceded enters the line of its streams, and so does each that comes
while there is a line: it reads when those before it have saved, and is not refused because of them.
Nothing rests on turns: other processes have their own, and the append compares revisions.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

LONGEST_SECONDS = 5.0
"""After so long a command goes on without its turn."""

MOST_STREAMS = 16
"""A command that is about more streams takes no turn."""


class _Line:
    """Those who have, or wait for, the turn at a stream."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self.count = 0


class Turns:
    """The lines of a process. Safe to use from many threads."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._lines: dict[str, _Line] = {}

    def count(self, stream: str) -> int:
        """How many commands are in the line of a stream."""
        line = self._lines.get(stream)
        return 0 if line is None else line.count

    @contextmanager
    def taking(self) -> Iterator["Turn"]:
        """A turn to take within the block, which ends it."""
        with ExitStack() as taken:
            yield Turn(self, taken)

    @contextmanager
    def at(self, streams: Iterable[str], *, begin: bool) -> Iterator[None]:
        """Hold the turn at streams within the block; if lines do not `begin`, where there are some.

        Lines are entered in one order, so that no two commands wait for each other.
        """
        until = time.monotonic() + LONGEST_SECONDS
        entered = self._enter(sorted(streams), begin=begin)
        with ExitStack() as held:
            held.callback(self._leave, entered)
            for line in entered.values():
                if line.turn.acquire(timeout=max(0.0, until - time.monotonic())):
                    held.callback(line.turn.release)
            yield

    def _enter(self, streams: Iterable[str], *, begin: bool) -> dict[str, _Line]:
        with self._changing:
            wanted = [stream for stream in streams if begin or stream in self._lines]
            entered = {stream: self._lines.setdefault(stream, _Line()) for stream in wanted}
            for line in entered.values():
                line.count += 1
        return entered

    def _leave(self, entered: dict[str, _Line]) -> None:
        with self._changing:
            for stream, line in entered.items():
                line.count -= 1
                if not line.count:
                    del self._lines[stream]


class Turn:
    """What a command takes, once: before its first read."""

    def __init__(self, turns: Turns, taken: ExitStack) -> None:
        self._turns = turns
        self._taken = taken
        self._is_taken = False

    def take(self, streams: Iterable[str], *, begin: bool = False) -> None:
        """Wait for the turn at streams, unless it is taken or there are too many. Without `begin`,
        only at those that have a line."""
        some = set(streams)
        if not self._is_taken and 0 < len(some) <= MOST_STREAMS:
            self._is_taken = True
            self._taken.enter_context(self._turns.at(some, begin=begin))
