"""Notifications of read models' progress, from one database listener to all waiting requests."""

import asyncio
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec
from sqlalchemy import Engine

from adapters.postgres.postgres import notifications
from projections.engine.failing import failing_among
from projections.engine.follow import Advance, positions_of
from projections.engine.read_model import CHANNEL, ReadModel
from projections.registry import READ_MODELS

LOOK_SECONDS = 1.0
"""How often positions and failures are read, whatever the notifications say."""

log = logging.getLogger(__name__)


class News:
    """Follows the positions of the read models, in a thread of its own."""

    def __init__(self, database_url: str, engine: Engine) -> None:
        self._url = database_url
        self._engine = engine
        self._stop = threading.Event()
        self._changing = threading.Lock()
        self._positions: Mapping[str, int] = {}
        self._failing: frozenset[str] = frozenset()
        self._listeners: dict[asyncio.Event, tuple[asyncio.AbstractEventLoop, frozenset[str]]] = {}
        self._thread = threading.Thread(target=self._run, name="news", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def has_reached(self, position: int, read_models: Sequence[ReadModel]) -> bool:
        """Whether the read models were at a position, or beyond, when they were last looked at."""
        at = self._positions
        return all(at.get(read_model.name, -1) >= position for read_model in read_models)

    def is_missing(self, read_models: Sequence[ReadModel]) -> bool:
        """Whether one of these was not built when they were last looked at."""
        return not self._positions.keys() >= {read_model.name for read_model in read_models}

    def is_failing(self, read_models: Sequence[ReadModel]) -> bool:
        """Whether one of these failed when they were last looked at, a second ago at most."""
        return not self._failing.isdisjoint(read_model.name for read_model in read_models)

    async def reached(
        self, position: int, read_models: Sequence[ReadModel], seconds: float
    ) -> bool:
        """Wait until the read models have reached a position; False after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                with self.listening(*read_models) as changed:
                    while not self.has_reached(position, read_models):
                        await changed.wait()
                        changed.clear()
        except TimeoutError:
            return False
        return True

    @contextmanager
    def listening(self, *read_models: ReadModel) -> Iterator[asyncio.Event]:
        """An event of the running loop that is set whenever one of the read models advances."""
        event = asyncio.Event()
        names = frozenset(read_model.name for read_model in read_models)
        with self._changing:
            self._listeners[event] = asyncio.get_running_loop(), names
        try:
            yield event
        finally:
            with self._changing:
                del self._listeners[event]

    def _run(self) -> None:
        while not self._stop.is_set():
            looked_at = -LOOK_SECONDS
            try:
                for payloads in notifications(self._url, CHANNEL, self._stop, LOOK_SECONDS):
                    if payloads and time.monotonic() - looked_at < LOOK_SECONDS:
                        self._update(self._announced(payloads))
                    else:
                        looked_at = time.monotonic()
                        self._update(self._stored())
            except Exception:
                log.exception("following the read models was interrupted; it continues")
                self._stop.wait(0.5)

    def _stored(self) -> dict[str, int]:
        with self._engine.connect() as connection:
            failing = failing_among(connection, READ_MODELS)
            self._failing = frozenset(one.read_model for one in failing)
            return dict(positions_of(connection, READ_MODELS))

    def _announced(self, payloads: Sequence[str]) -> dict[str, int]:
        """The positions with those that notifications name, which are sent when they hold."""
        positions = dict(self._positions)
        for payload in payloads:
            advance = msgspec.json.decode(payload, type=Advance)
            positions |= dict.fromkeys(advance.read_models, advance.position)
        return positions

    def _update(self, positions: Mapping[str, int]) -> None:
        moved = {name for name, at in positions.items() if at != self._positions.get(name)}
        if not moved:
            return
        with self._changing:
            self._positions = positions
            for event, (loop, names) in self._listeners.items():
                if not names.isdisjoint(moved):
                    loop.call_soon_threadsafe(event.set)
