"""The newest events of the log, read and encoded once for all who follow it.

Server-sent events, long polls and webhooks take their events from here: what is new from memory,
what is older from the database.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence

from adapters.postgres.log_growth import log_growth
from adapters.subscriptions.feed import past
from adapters.subscriptions.feed.feed_event import FeedEvent, encoded
from adapters.subscriptions.feed.past import Step, step
from adapters.subscriptions.feed.wanted import Wanted, terms_of
from application.log.store import Store
from application.scopes import Scopes
from domain.event import Recorded

KEPT_EVENTS, KEPT_BYTES = 10_000, 16 << 20
BATCH = 500
READERS = 4
"""Followers that read older events at the same time; each takes a connection."""

log = logging.getLogger(__name__)


class Tail:
    """Follows the log from `begin` on. What it keeps belongs to the loop that this is called in.

    A follower asks for what is `next`. If there is nothing, it awaits the event `news` that stood
    there before. In the loop, `taken` is called with each page before followers see it, and
    `failed` with the error that ends following; without it, following goes on after errors.
    While `keeping` is not set, no event is kept in memory.
    """

    def __init__(
        self,
        store: Store,
        scopes: Scopes,
        taken: Callable[[Sequence[Recorded]], None] = lambda _: None,
        failed: Callable[[Exception], None] | None = None,
    ) -> None:
        self._store = store
        self._scopes = scopes
        self._taken = taken
        self._failed = failed
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._beginning = asyncio.Lock()
        self._readers = asyncio.Semaphore(READERS)
        self._events: list[FeedEvent] = []
        self._bytes = 0
        self.keeping = True
        self.position = 0
        self.news = asyncio.Event()

    async def begin(self, position: int | None = None) -> bool:
        """Follow the log from a position, its end if none is given; False if it does already."""
        async with self._beginning:
            if self._thread is not None:
                return False
            if position is None:
                position = await asyncio.to_thread(self._store.head)
            self.position = position
            loop = asyncio.get_running_loop()
            self._thread = threading.Thread(
                target=self._run, args=(loop, position), name="events", daemon=True
            )
            self._thread.start()
            return True

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    async def next(self, wanted: Wanted, after: int, limit: int) -> Step:
        """The next events that are wanted after a position, at most so many."""
        newest = self._since(after)
        if newest is None:
            async with self._readers:
                return await asyncio.to_thread(
                    step, self._store, self._scopes, wanted, after, limit
                )
        matching: list[FeedEvent] = []
        size = 0
        for event in newest:
            after = event.position
            if wanted.covers(event.terms):
                matching.append(event)
                size += len(event.frame)
                if len(matching) == limit or size >= past.STEP_BYTES:
                    break
        return Step(matching, after, more=bool(newest))

    def wake(self) -> None:
        """Let all followers look again."""
        self.news.set()
        self.news = asyncio.Event()

    def _since(self, position: int) -> Sequence[FeedEvent] | None:
        """The next events after a position; None where only the database still has them."""
        behind = self.position - position
        if behind > len(self._events):
            return None
        start = len(self._events) - behind
        return self._events[start : start + BATCH]

    def _run(self, loop: asyncio.AbstractEventLoop, position: int) -> None:
        while not self._stop.is_set():
            try:
                for _ in log_growth(self._store.database_url, self._stop, poll=1.0):
                    more = True
                    while more:
                        page = self._store.read(position, limit=BATCH)
                        if page:
                            events = self._encoded(page) if self.keeping else []
                            loop.call_soon_threadsafe(self._take, page, events)
                            position = page[-1].position
                        more = len(page) == BATCH
            except Exception as error:
                if self._failed is not None:
                    loop.call_soon_threadsafe(self._failed, error)
                    return
                log.exception("following the log was interrupted; it continues")
                self._stop.wait(0.5)

    def _encoded(self, page: Sequence[Recorded]) -> list[FeedEvent]:
        places = self._scopes.scopes_of({event.stream for event in page})
        return [encoded(event, terms_of(event, places[event.stream])) for event in page]

    def _take(self, page: Sequence[Recorded], events: Sequence[FeedEvent]) -> None:
        self._events += events
        self._bytes += sum(len(event.frame) for event in events)
        # Positions have no holes: what is kept are the last ones, or none.
        surplus = max(0, len(self._events) - KEPT_EVENTS) if events else len(self._events)
        freed = sum(len(event.frame) for event in self._events[:surplus])
        while self._bytes - freed > KEPT_BYTES:
            freed += len(self._events[surplus].frame)
            surplus += 1
        del self._events[:surplus]
        self._bytes -= freed
        self.position = page[-1].position
        self._taken(page)
        self.wake()
