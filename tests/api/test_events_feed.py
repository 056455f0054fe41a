"""What followers of the feed share and what they may see, without HTTP in between."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Collection

import pytest

from api import events_feed, events_tail
from api.events_feed import Feed
from api.events_wanted import Chosen, Wanted
from application.scopes import Scopes
from application.store import Store
from domain.errors import Invalid
from domain.event import Recorded
from tests.application.scenes import Scene

FOLLOWERS = 100
EVERYTHING = Wanted()


async def all_projects() -> None:
    """The rights of one who may read everything."""


def run(store: Store, follow: Callable[[Feed], Awaitable[None]]) -> None:
    async def followed() -> None:
        feed = Feed(store, Scopes(store))
        try:
            async with asyncio.timeout(20):
                await feed.begin(0, "after")
                await follow(feed)
        finally:
            await asyncio.to_thread(feed.close)

    asyncio.run(followed())


def positions(frames: bytes) -> list[int]:
    """Those of the events in some frames."""
    lines = [line for line in frames.decode().split("\n") if line.startswith("data: ")]
    return [int(json.loads(line.removeprefix("data: "))["sequence"]) for line in lines]


async def following(frames: AsyncIterator[bytes], count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        found += positions(await anext(frames))
    return found


def test_each_event_is_read_and_encoded_once_for_all_who_wait(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []

    def encode(recorded: Recorded, terms: frozenset[str]) -> events_tail.FeedEvent:
        encoded.append(recorded.position)
        return encode_it(recorded, terms)

    encode_it = events_tail.encoded
    monkeypatch.setattr(events_tail, "encoded", encode)
    begun = Scene(store).store.head()

    async def follow(feed: Feed) -> None:
        streams = [feed.stream(EVERYTHING, begun, all_projects) for _ in range(FOLLOWERS)]
        waiting = [asyncio.create_task(following(one, 12)) for one in streams]
        polling = [
            asyncio.create_task(feed.page(EVERYTHING, begun, 1, 20)) for _ in range(FOLLOWERS)
        ]
        await asyncio.sleep(0)
        threads = threading.active_count()
        for _ in range(2):
            await asyncio.to_thread(Scene, store)
        wanted = list(range(begun + 1, begun + 13))
        assert await asyncio.gather(*waiting) == [wanted] * FOLLOWERS
        for page in await asyncio.gather(*polling):
            assert [event.position for event in page.events] == wanted[:1]
        assert threading.active_count() <= threads + 1

    run(store, follow)
    assert encoded == list(range(begun + 1, store.head() + 1))


@pytest.mark.parametrize("kept", [events_tail.KEPT_EVENTS, 2], ids=["tail", "database"])
def test_who_may_read_one_project_gets_its_events_and_no_others(
    store: Store, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_tail, "KEPT_EVENTS", kept)

    async def follow(feed: Feed) -> None:
        mine, other = [await asyncio.to_thread(Scene, store, images=2) for _ in range(2)]
        streams = Scopes(store).projects_of({one.stream for one in store.read(0)})
        wanted = [one.position for one in store.read(0) if streams[one.stream] == mine.project]
        assert 0 < len(wanted) < store.head()
        allowed = EVERYTHING.within({mine.project})
        found, after = [], 0
        while after < store.head():
            page = await feed.page(allowed, after, 1000, 1)
            found += [event.position for event in page.events]
            after = page.following
        assert found == wanted

        async def rights() -> Collection[str]:
            return {mine.project}

        frames = feed.stream(EVERYTHING, 0, rights)
        assert await following(frames, len(wanted)) == wanted
        with pytest.raises(Invalid, match="that you may read"):
            await feed.wanted(Chosen(view=[other.view]), {mine.project})

    run(store, follow)


def test_a_beat_says_how_far_it_looked_and_asks_for_the_rights_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_tail, "BEAT_SECONDS", 0.05)
    may_read = {"a project"}

    async def rights() -> Collection[str]:
        return frozenset(may_read)

    async def follow(feed: Feed) -> None:
        frames = feed.stream(Chosen(name=["version.*"]).wanted(Scopes(store), None), 0, rights)
        assert await anext(frames) == b": still here\n\n"
        await asyncio.to_thread(Scene, store)
        while (frame := await anext(frames)) != b"id: %d\n\n" % store.head():
            assert frame.startswith((b"id: ", b": still here"))
        may_read.clear()
        assert [frame async for frame in frames if frame.startswith(b"data")] == []

    run(store, follow)


def test_a_slow_follower_holds_no_more_than_a_chunk(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_tail, "KEPT_EVENTS", 10)
    monkeypatch.setattr(events_feed, "CHUNK", 4)

    async def follow(feed: Feed) -> None:
        frames = feed.stream(EVERYTHING, 0, all_projects)
        await asyncio.to_thread(Scene, store, images=10)
        found: list[int] = []
        while len(found) < store.head():
            chunk = positions(await anext(frames))
            assert 0 < len(chunk) <= 4
            found += chunk
        assert found == list(range(1, store.head() + 1))

    run(store, follow)
