"""From memory or from the database, a webhook gets the same events, with none left out."""

import asyncio
import itertools

import pytest

from adapters.subscriptions.webhooks import tail
from adapters.subscriptions.webhooks.tail import Tail, Wanted
from application.log.store import Store
from tests.application.scenes import Scene


@pytest.fixture
def scenes(store: Store, monkeypatch: pytest.MonkeyPatch) -> tuple[Scene, Scene]:
    """Events of two projects, and pages of three of them."""
    monkeypatch.setattr(tail, "AT_ONCE", 3)
    scenes = Scene(store, images=3), Scene(store, images=3)
    scenes[0].draw_split()
    return scenes


async def walked(store: Store, wanted: Wanted, *, after: int, kept: int | None) -> list[int]:
    """The positions that a webhook is handed, reading from memory as much as is kept there."""
    if kept is None:
        one = Tail(store, store.head())
    else:
        one = Tail(store, store.head() - kept)
        while await one.grow():
            pass
    found: list[int] = []
    position = after
    while position < store.head():
        page = await one.after(position, wanted)
        assert len(page.events) <= 3
        assert page.upto > position
        found += [recorded.position for recorded in page.events]
        position = page.upto
    return found


def test_every_wanted_event_comes_once_in_order(store: Store, scenes: tuple[Scene, Scene]) -> None:
    mine = {scenes[0].project, scenes[0].view, *scenes[0].images, scenes[0].model()}
    for after, kept in itertools.product((0, 1, 4, 7), (None, 5, store.head())):
        for names in (frozenset[str](), frozenset({"image.added", "view.concept_added"})):
            for project_id in (None, scenes[0].project):
                expected = [
                    one.position
                    for one in store.read_all(after)
                    if (not names or one.event.event_name in names)
                    and (project_id is None or one.entity_id in mine)
                ]
                wanted = Wanted(names, project_id)
                assert asyncio.run(walked(store, wanted, after=after, kept=kept)) == expected


def test_what_memory_no_longer_holds_is_read_again(
    store: Store, scenes: tuple[Scene, Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "KEPT", 4)
    everything = list(range(1, store.head() + 1))
    assert scenes
    found = asyncio.run(walked(store, Wanted(frozenset(), None), after=0, kept=store.head()))
    assert found == everything
