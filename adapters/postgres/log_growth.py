"""Waiting for new events of the log: one listener a process, which wakes those that need them."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence

import psycopg

from adapters.postgres.postgres import STOP_CHECK, notifications
from application.log.store import CHANNEL, KEEPALIVE_OPTIONS

PAGE = 1000
PAUSE_SECONDS = 0.5
"""After an interruption."""

FIRST_SECONDS = 0.02
"""The others wait so long at most until those that are woken first have done their work."""

_HEAD = "SELECT coalesce(max(notification_id), 0) FROM log.stemma_events"
_NAMES = """
    SELECT notification_id, topic FROM log.stemma_events WHERE notification_id > %s
    ORDER BY notification_id LIMIT %s
"""

log = logging.getLogger(__name__)


def log_growth(
    url: str,
    stop: threading.Event,
    names: Sequence[str] = (),
    poll: float = 5.0,
    *,
    first: bool = False,
) -> Iterator[None]:
    """Yield at once, then when the log has new events of these names, or of any if there are none.

    After `poll` seconds it yields at the latest. It ends when `stop` is set. Those that are `first`
    are woken before the others of the process, which would take the interpreter from them.
    """
    waiter = _Waiter(frozenset(names), first)
    listener = _join(url, waiter)
    try:
        while not stop.is_set():
            # Cleared before the caller looks: an event that comes meanwhile wakes again.
            waiter.woken.clear()
            yield
            waiter.done.set()
            deadline = time.monotonic() + poll
            while not stop.is_set() and (left := deadline - time.monotonic()) > 0:
                if waiter.woken.wait(min(left, STOP_CHECK)):
                    break
    finally:
        waiter.done.set()
        _leave(listener, waiter)


class _Waiter:
    """One that waits for events of some names, or of any; `done` is set whenever it waits again."""

    def __init__(self, names: frozenset[str], first: bool) -> None:
        self.names = names
        self.first = first
        self.woken = threading.Event()
        self.done = threading.Event()

    def wake(self) -> None:
        self.done.clear()
        self.woken.set()


class _Listener:
    """The thread that listens to the log's channel for all of the process that wait."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.waiting: set[_Waiter] = set()
        self.ended = threading.Event()
        threading.Thread(target=self._run, name="log growth", daemon=True).start()

    def _run(self) -> None:
        while not self.ended.is_set():
            try:
                self._follow()
            except psycopg.Error as error:
                log.warning("following the log was interrupted and continues: %s", error)
            except Exception:
                log.exception("following the log was interrupted and continues")
            self.ended.wait(PAUSE_SECONDS)

    def _follow(self) -> None:
        with psycopg.connect(
            self.url, autocommit=True, connect_timeout=5, **KEEPALIVE_OPTIONS
        ) as connection:
            position = _head(connection)
            self._wake(None)
            for _ in notifications(self.url, CHANNEL, self.ended):
                more = True
                while more:
                    rows = connection.execute(_NAMES, (position, PAGE), prepare=True).fetchall()
                    if rows:
                        position = rows[-1][0]
                        self._wake({name for _, name in rows})
                    more = len(rows) == PAGE

    def _wake(self, names: set[str] | None) -> None:
        """Wake those who wait for an event of one of these names; None wakes all."""
        with _changing:
            reached = [
                waiter
                for waiter in self.waiting
                if names is None or not waiter.names or not waiter.names.isdisjoint(names)
            ]
        for waiter in reached:
            if waiter.first:
                waiter.wake()
                waiter.done.wait(FIRST_SECONDS)
        for waiter in reached:
            if not waiter.first:
                waiter.wake()


def _head(connection: psycopg.Connection) -> int:
    row = connection.execute(_HEAD).fetchone()
    assert row is not None
    return int(row[0])


_listeners: dict[str, _Listener] = {}
_changing = threading.Lock()


def _join(url: str, waiter: _Waiter) -> _Listener:
    with _changing:
        listener = _listeners.get(url)
        if listener is None:
            listener = _listeners[url] = _Listener(url)
        listener.waiting.add(waiter)
    return listener


def _leave(listener: _Listener, waiter: _Waiter) -> None:
    """Remove one that waited; the last one ends the thread."""
    with _changing:
        listener.waiting.remove(waiter)
        if not listener.waiting:
            listener.ended.set()
            del _listeners[listener.url]
