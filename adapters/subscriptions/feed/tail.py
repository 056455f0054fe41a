"""The newest events of the log, read and encoded once for all who follow it over HTTP."""

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence

import msgspec

from adapters.postgres.postgres import wake_ups
from adapters.subscriptions.feed.wanted import terms_of
from application.log.store import CHANNEL, Store
from application.scopes import Scopes
from domain.aggregates import ACCOUNT, KEY
from domain.audit.places import StreamScope
from domain.event import Recorded
from domain.subscriptions.cloud_events import cloud_event

KEPT_EVENTS, KEPT_BYTES = 10_000, 16 << 20
BATCH = 500
BEAT_SECONDS = 15.0
"""Between two beats, at each of which whoever has nothing to send says that he is still there, and
all ask for their rights again. There is one more whenever the log tells of keys or accounts."""

_OF_RIGHTS = tuple(aggregate.stream("") for aggregate in (KEY, ACCOUNT))

log = logging.getLogger(__name__)


class FeedEvent(msgspec.Struct, frozen=True):
    """An event as it is sent: `frame` is what stands for it in a stream of server-sent events."""

    position: int
    terms: frozenset[str]
    frame: bytes
    starts: int

    @property
    def cloud_event(self) -> bytes:
        """The CloudEvent alone, as JSON."""
        return self.frame[self.starts : -2]


def encoded(recorded: Recorded, terms: frozenset[str]) -> FeedEvent:
    name, position = recorded.event.event_name, recorded.position
    before = f"id: {position}\nevent: {name}\ndata: ".encode()
    frame = before + msgspec.json.encode(cloud_event(recorded)) + b"\n\n"
    return FeedEvent(position, terms, frame, len(before))


class Tail:
    """Follows the log from the first follower on. What it keeps belongs to that one's loop.

    A follower looks at `since`. If there is nothing, it awaits the event `news` that stood there
    when it looked. The event `beat` is set, and another one put there, at each beat.
    """

    def __init__(self, store: Store, scopes: Scopes) -> None:
        self._store = store
        self._scopes = scopes
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._beginning = asyncio.Lock()
        self._events: list[FeedEvent] = []
        self._bytes = 0
        self.position = 0
        self.news = asyncio.Event()
        self.beat = asyncio.Event()

    async def begin(self) -> None:
        """Be at the log's end, and follow it from there."""
        async with self._beginning:
            if self._thread is not None:
                return
            self.position = await asyncio.to_thread(self._store.head)
            loop = asyncio.get_running_loop()
            self._thread = threading.Thread(
                target=self._run, args=(loop, self.position), name="events", daemon=True
            )
            self._thread.start()
            loop.call_later(BEAT_SECONDS, self._beat, loop)

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def since(self, position: int) -> Sequence[FeedEvent] | None:
        """The next events after a position; None where only the database still has them."""
        behind = self.position - position
        if behind > len(self._events):
            return None
        start = len(self._events) - behind
        return self._events[start : start + BATCH]

    def _run(self, loop: asyncio.AbstractEventLoop, position: int) -> None:
        while not self._stop.is_set():
            try:
                for _ in wake_ups(self._store.database_url, CHANNEL, self._stop):
                    while page := self._store.read(position, limit=BATCH):
                        places = self._scopes.places_of({one.stream for one in page})
                        rights = any(one.stream.startswith(_OF_RIGHTS) for one in page)
                        loop.call_soon_threadsafe(self._take, _encoded(page, places), rights)
                        position = page[-1].position
            except Exception:
                log.exception("following the log is interrupted; it goes on")
                self._stop.wait(0.5)

    def _take(self, events: Sequence[FeedEvent], of_rights: bool) -> None:
        self._events += events
        self._bytes += sum(len(one.frame) for one in events)
        surplus = max(0, len(self._events) - KEPT_EVENTS)
        freed = sum(len(one.frame) for one in self._events[:surplus])
        while self._bytes - freed > KEPT_BYTES:
            freed += len(self._events[surplus].frame)
            surplus += 1
        del self._events[:surplus]
        self._bytes -= freed
        self.position = events[-1].position
        self._wake(beat=of_rights)

    def _beat(self, loop: asyncio.AbstractEventLoop) -> None:
        self._wake(beat=True)
        if not self._stop.is_set():
            loop.call_later(BEAT_SECONDS, self._beat, loop)

    def _wake(self, *, beat: bool) -> None:
        self.news.set()
        self.news = asyncio.Event()
        if beat:
            self.beat.set()
            self.beat = asyncio.Event()


def _encoded(page: Sequence[Recorded], places: Mapping[str, StreamScope]) -> list[FeedEvent]:
    return [encoded(one, terms_of(one, places[one.stream])) for one in page]
