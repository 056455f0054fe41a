"""Notifications of read models' progress, from one database listener to all waiting requests."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from adapters.postgres.postgres import wake_ups
from projections.engine.read_model import CHANNEL

log = logging.getLogger(__name__)


class News:
    """Follows the position that all read models have reached, in a thread of its own."""

    def __init__(self, database_url: str, position: Callable[[], int]) -> None:
        self._url = database_url
        self._read_position = position
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._position = 0
        self._listeners: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._thread = threading.Thread(target=self._run, name="news", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def wait(self, position: int, seconds: float) -> bool:
        """Block until the read models have reached a position; False after `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._position >= position, seconds)

    @contextmanager
    def listening(self) -> Iterator[asyncio.Event]:
        """An event of the running loop that is set on every change."""
        listener = (asyncio.get_running_loop(), asyncio.Event())
        with self._changed:
            self._listeners.add(listener)
        try:
            yield listener[1]
        finally:
            with self._changed:
                self._listeners.discard(listener)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                for _ in wake_ups(self._url, CHANNEL, self._stop):
                    self._check_position()
            except Exception:
                log.exception("following the read models was interrupted; it continues")
                self._stop.wait(0.5)

    def _check_position(self) -> None:
        position = self._read_position()
        if position == self._position:
            return
        with self._changed:
            self._position = position
            self._changed.notify_all()
            for loop, event in self._listeners:
                loop.call_soon_threadsafe(event.set)
