"""From memory or from the database, a follower gets the same events, with none left out."""

import asyncio
import itertools
from collections.abc import Sequence

import pytest

from adapters.subscriptions.feed import tail
from adapters.subscriptions.feed.tail import Tail
from adapters.subscriptions.feed.wanted import Wanted
from application.log.store import Store
from application.scopes import Scopes
from domain.event import Recorded
from tests.application.scenes import Scene

AT_ONCE = 3


@pytest.fixture
def scenes(store: Store) -> tuple[Scene, Scene]:
    """Events of two projects."""
    scenes = Scene(store, images=3), Scene(store, images=3)
    scenes[0].draw_split()
    return scenes


async def walked(
    store: Store, wanted: Wanted, *, after: int, kept: int, keeping: bool = True
) -> list[int]:
    """The positions that a follower gets, reading from memory as much as is kept there."""
    head = store.head()
    arrived = asyncio.Event()

    def taken(page: Sequence[Recorded]) -> None:
        if page[-1].position == head:
            arrived.set()

    followed = Tail(store, Scopes(store), taken)
    followed.keeping = keeping
    await followed.begin(head - kept)
    try:
        if kept:
            await asyncio.wait_for(arrived.wait(), 20)
        found: list[int] = []
        position, more = after, True
        while more:
            step = await followed.next(wanted, position, AT_ONCE)
            assert len(step.events) <= AT_ONCE
            found += [event.position for event in step.events]
            assert step.reached > position or not step.more
            position, more = step.reached, step.more
        assert position == head
        return found
    finally:
        await asyncio.to_thread(followed.close)


def test_every_wanted_event_comes_once_in_order(store: Store, scenes: tuple[Scene, Scene]) -> None:
    mine = {scenes[0].project, scenes[0].view, *scenes[0].images, scenes[0].model()}
    for after, kept in itertools.product((0, 1, 4, 7), (0, 5, store.head())):
        for names in (frozenset[str](), frozenset({"image.added", "view.concept_added"})):
            for project_id in (None, scenes[0].project):
                expected = [
                    one.position
                    for one in store.read_all(after)
                    if (not names or one.event.event_name in names)
                    and (project_id is None or one.entity_id in mine)
                ]
                wanted = Wanted.named(names).within(project_id and {project_id})
                assert asyncio.run(walked(store, wanted, after=after, kept=kept)) == expected


@pytest.mark.parametrize(("most", "keeping"), [(4, True), (10_000, False)])
def test_what_memory_does_not_hold_is_read_again(
    store: Store,
    scenes: tuple[Scene, Scene],
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    keeping: bool,
) -> None:
    monkeypatch.setattr(tail, "KEPT_EVENTS", most)
    assert scenes
    found = walked(store, Wanted(), after=0, kept=store.head(), keeping=keeping)
    assert asyncio.run(found) == list(range(1, store.head() + 1))


def test_an_error_ends_following_where_somebody_is_to_be_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(*_: object, **__: object) -> list[Recorded]:
        raise LookupError("event 'of.tomorrow' is unknown")

    async def follow() -> None:
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        followed = Tail(store, Scopes(store), failed=failed.set_exception)
        monkeypatch.setattr(store, "read", read)
        await followed.begin(0)
        try:
            with pytest.raises(LookupError, match="tomorrow"):
                await asyncio.wait_for(failed, 20)
        finally:
            await asyncio.to_thread(followed.close)

    asyncio.run(follow())
