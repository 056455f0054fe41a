"""What followers of the feed share and what they may see, without HTTP in between."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from adapters.subscriptions.feed import feed as events_feed
from adapters.subscriptions.feed import past as events_past
from adapters.subscriptions.feed import tail as events_tail
from adapters.subscriptions.feed.feed import Feed
from adapters.subscriptions.feed.feed_event import FeedEvent
from adapters.subscriptions.feed.feed_event import encoded as encode_it
from adapters.subscriptions.feed.past import Step, step
from adapters.subscriptions.feed.wanted import Chosen, Wanted
from application.log.store import Store
from application.scopes import Scopes
from domain.dataset.project import ProjectCreated
from domain.errors import Invalid
from domain.event import Recorded
from domain.library.view import ViewCreated
from tests.application.scenes import Scene, recorded
from tests.waiting import HANG_SECONDS

FOLLOWERS = 100
EVERYTHING = Wanted()


async def everything() -> Wanted:
    """What one wants who may read everything, and goes on to."""
    return EVERYTHING


def run(store: Store, follow: Callable[[Feed], Awaitable[None]]) -> None:
    async def followed() -> None:
        feed = Feed(store, Scopes(store))
        try:
            async with asyncio.timeout(HANG_SECONDS):
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

    def encode(recorded: Recorded, terms: frozenset[str]) -> FeedEvent:
        encoded.append(recorded.position)
        return encode_it(recorded, terms)

    monkeypatch.setattr(events_tail, "encoded", encode)
    begun = Scene(store).store.head()

    async def follow(feed: Feed) -> None:
        streams = [feed.stream(EVERYTHING, begun, everything) for _ in range(FOLLOWERS)]
        waiting = [asyncio.create_task(following(one, 12)) for one in streams]
        polling = [
            asyncio.create_task(feed.page(EVERYTHING, begun, 1, 20, everything))
            for _ in range(FOLLOWERS)
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

        async def again() -> Wanted:
            return allowed

        found, after = [], 0
        while after < store.head():
            page = await feed.page(allowed, after, 1000, 1, again)
            found += [event.position for event in page.events]
            after = page.following
        assert found == wanted
        frames = feed.stream(allowed, 0, again)
        assert await following(frames, len(wanted)) == wanted
        with pytest.raises(Invalid, match="not found"):
            await feed.wanted(Chosen(view=[other.view]), {mine.project})

    run(store, follow)


def test_a_beat_says_how_far_it_looked_and_asks_for_the_rights_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_feed, "BEAT_SECONDS", 0.05)
    may_read = True

    async def follow(feed: Feed) -> None:
        nonlocal may_read
        wanted = Chosen(name=["version.*"]).wanted(Scopes(store), None)

        async def again() -> Wanted | None:
            return wanted if may_read else None

        frames = feed.stream(wanted, 0, again)
        assert await anext(frames) == b": still here\n\n"
        await asyncio.to_thread(Scene, store)
        while (frame := await anext(frames)) != b"id: %d\n\n" % store.head():
            assert frame.startswith((b"id: ", b": still here"))
        may_read = False
        assert [frame async for frame in frames if frame.startswith(b"data")] == []

    run(store, follow)


@pytest.mark.parametrize("chosen", [{"name": ["view.*"]}, {"subject": ["project-1"]}], ids=str)
def test_what_has_a_name_or_a_subject_is_found_without_looking_through_the_log(
    store: Store, monkeypatch: pytest.MonkeyPatch, chosen: dict[str, list[str]]
) -> None:
    monkeypatch.setattr(events_past, "PAGE", 4)
    scopes = Scopes(store)
    wanted = Chosen(**chosen).wanted(scopes, None)
    store.append([recorded("project-1", 1, ProjectCreated("Wanted"))])
    store.append([recorded("view-1", 1, ViewCreated("1", "Wanted", "tagging"))])
    for number in range(2, 12):
        store.append([recorded(f"project-{number}", 1, ProjectCreated("Not wanted"))])
    begun = step(store, scopes, wanted, 0, 1)
    assert len(begun.events) == 1
    assert begun.more
    rest = step(store, scopes, wanted, begun.reached, 1)
    assert (rest.events, rest.reached, rest.more) == ([], store.head(), True)
    assert step(store, scopes, wanted, rest.reached, 1) == Step([], store.head(), more=False)


@pytest.mark.parametrize("kept", [events_tail.KEPT_EVENTS, 0], ids=["tail", "database"])
def test_what_is_held_of_large_events_is_bounded(
    store: Store, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    monkeypatch.setattr(events_tail, "KEPT_EVENTS", kept)
    monkeypatch.setattr(events_past, "STEP_BYTES", 2500)
    monkeypatch.setattr(events_feed, "PAGE_BYTES", 7500)

    async def follow(feed: Feed) -> None:
        waiting = asyncio.create_task(feed.page(EVERYTHING, 0, 1, 20, everything))
        large = [recorded(f"project-{one}", 1, ProjectCreated("x" * 800)) for one in range(20)]
        await asyncio.to_thread(store.append, large)
        await waiting
        page = await feed.page(EVERYTHING, 0, 1000, 1, everything)
        assert [event.position for event in page.events] == list(range(1, 7))
        assert (page.following, page.position) == (6, 20)
        frames = feed.stream(EVERYTHING, 0, everything)
        assert [positions(await anext(frames)) for _ in range(2)] == [[1, 2], [3, 4]]

    run(store, follow)


def test_a_slow_follower_holds_no_more_than_a_chunk(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_tail, "KEPT_EVENTS", 10)
    monkeypatch.setattr(events_feed, "CHUNK", 4)

    async def follow(feed: Feed) -> None:
        frames = feed.stream(EVERYTHING, 0, everything)
        await asyncio.to_thread(Scene, store, images=10)
        found: list[int] = []
        while len(found) < store.head():
            chunk = positions(await anext(frames))
            assert 0 < len(chunk) <= 4
            found += chunk
        assert found == list(range(1, store.head() + 1))

    run(store, follow)
