"""The feed of all events: pages, at once or as soon as there is something, and an endless stream.

What is new comes from the tail, what is older from the database. A follower is a coroutine that
knows its position; none holds a thread or a connection, or more events than it is sending.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import suppress

import msgspec

from adapters.subscriptions.feed.feed_event import FeedEvent
from adapters.subscriptions.feed.tail import Tail
from adapters.subscriptions.feed.wanted import Chosen, Wanted
from application.log.store import Store
from application.scopes import Scopes
from domain.aggregates import ACCOUNT, KEY
from domain.errors import Invalid
from domain.event import Recorded

BEAT_SECONDS = 15.0
"""Between two beats, at each of which whoever has nothing to send says that he is still there, and
all ask for their rights again. There is one more whenever the log tells of keys or accounts."""

_OF_RIGHTS = tuple(aggregate.stream("") for aggregate in (KEY, ACCOUNT))

CHUNK = 50
"""Events that a stream sends at once, if a step does not end before: what a client that does not
read can hold."""

PAGE_BYTES = 16 << 20
"""A page ends with the step by which it comes to so much."""

SEARCH_SECONDS = 1.0
"""After so long a search a page is answered with what there is, and says where to go on."""

Again = Callable[[], Awaitable[Wanted | None]]
"""What is wanted, within what the follower may read by now; None once that is nothing."""


class Page(msgspec.Struct, frozen=True):
    """Events, the position to go on from, and how far the log is."""

    events: list[FeedEvent]
    following: int
    position: int


class Feed:
    """What all followers of one process share.

    The event `beat` is set and replaced when the readers' rights are to be checked again.
    """

    def __init__(self, store: Store, scopes: Scopes) -> None:
        self._store = store
        self._scopes = scopes
        self._tail = Tail(store, scopes, self._taken)
        self.beat = asyncio.Event()

    def close(self) -> None:
        self._tail.close()

    async def begin(self, after: int, field: str) -> None:
        """Raises `Invalid` for a position that the log has not reached."""
        if await self._tail.begin():
            loop = asyncio.get_running_loop()
            loop.call_later(BEAT_SECONDS, self._beat_regularly, loop)
        if after <= self._tail.position:
            return
        head = await asyncio.to_thread(self._store.head)
        if after > head:
            raise Invalid(
                f"{field} is {after}, and the log ends at {head}; if you have seen {after}, an"
                " older log was restored: ask your operator, and read from 0",
                field=field,
            )

    async def passed(self, position: int) -> None:
        """Return once all events up to a position are taken: if one of them changed the rights of
        somebody, the beat is set by then."""
        while True:
            news = self._tail.news
            if self._tail.position >= position:
                return
            await news.wait()

    async def wanted(self, chosen: Chosen, projects: Collection[str] | None) -> Wanted:
        """What filters come to. Raises `Invalid`."""
        return await asyncio.to_thread(chosen.wanted, self._scopes, projects)

    async def page(
        self, wanted: Wanted, after: int, limit: int, seconds: float, again: Again
    ) -> Page:
        """The next events after a position; where there is none, waits for one.

        At each beat it asks again for what is wanted, and ends if that is nothing.
        """
        loop = asyncio.get_running_loop()
        begun, beat = loop.time(), self.beat
        events: list[FeedEvent] = []
        size = 0
        while True:
            news = self._tail.news
            if beat.is_set():
                beat, allowed = self.beat, await again()
                if allowed is None:
                    break
                wanted = allowed
                continue
            batch = await self._tail.next(wanted, after, limit - len(events))
            events += batch.events
            size += sum(len(event.frame) for event in batch.events)
            after = batch.reached
            taken = loop.time() - begun
            if (
                len(events) == limit
                or size >= PAGE_BYTES
                or taken >= max(SEARCH_SECONDS, 0 if events else seconds)
            ):
                break
            if batch.more:
                continue
            if events or taken >= seconds:
                break
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds - taken):
                    await news.wait()
        return Page(events, after, max(after, self._tail.position))

    async def stream(self, wanted: Wanted, after: int, again: Again) -> AsyncIterator[bytes]:
        """Frames of server-sent events; ends once there is nothing left that may be read.

        At each beat, before it sends any more, it asks again for what is wanted, and says that it
        is there: by an `id` without an event where it has looked further than at what it sent, so
        that one who comes back goes on from there.
        """
        beat, sent = self.beat, after
        while True:
            news = self._tail.news
            if beat.is_set():
                beat, allowed = self.beat, await again()
                if allowed is None:
                    return
                wanted = allowed
                yield b": still here\n\n" if sent == after else f"id: {after}\n\n".encode()
                sent = after
                continue
            batch = await self._tail.next(wanted, after, CHUNK)
            after = batch.reached
            if batch.events:
                sent = batch.events[-1].position
                yield b"".join([event.frame for event in batch.events])
            elif not batch.more:
                await news.wait()

    def _taken(self, page: Sequence[Recorded]) -> None:
        if any(event.stream.startswith(_OF_RIGHTS) for event in page):
            self._beat()

    def _beat(self) -> None:
        self.beat.set()
        self.beat = asyncio.Event()

    def _beat_regularly(self, loop: asyncio.AbstractEventLoop) -> None:
        self._beat()
        self._tail.wake()
        loop.call_later(BEAT_SECONDS, self._beat_regularly, loop)
