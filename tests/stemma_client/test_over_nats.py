"""The client follows a real stream: from a position, filtered, and across the loss of anything."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from nats.js.api import StreamConfig

from adapters.nats.jetstream import EVENTS, EVERY_EVENT, connect, ensure_streams
from adapters.servers.nats import EmbeddedNats
from adapters.subscriptions.relay import Relay
from application.log.store import Store
from domain.dataset.project import ProjectCreated, ProjectRenamed
from domain.event import Event
from domain.library.view import ViewCreated
from stemma_client import Gap, Received, events
from stemma_client.over_nats import follow_nats
from tests.application.scenes import recorded
from tests.waiting import HANG_SECONDS

Between = Callable[[], Awaitable[object]]


def append(store: Store, *events: tuple[str, Event]) -> None:
    """Each event onto its stream."""
    for stream, event in events:
        revision = len(store.streams([stream])[stream]) + 1
        store.append([recorded(stream, revision, event)])


def renamings(store: Store, count: int) -> None:
    first = len(store.streams(["project-1"])["project-1"]) + 1
    revisions = range(first, first + count)
    store.append([recorded("project-1", one, ProjectRenamed(str(one))) for one in revisions])


async def publish(store: Store, url: str) -> None:
    client = await connect(url, "test")
    try:
        js = client.jetstream()
        await ensure_streams(js)
        await Relay(store, js).catch_up()
    finally:
        await client.close()


async def drop_stream(url: str) -> None:
    client = await connect(url, "test")
    await client.jetstream().delete_stream(EVENTS)
    await client.close()


async def drop_consumers(url: str) -> None:
    client = await connect(url, "test")
    js = client.jetstream()
    for one in await js.consumers_info(EVENTS):
        await js.delete_consumer(EVENTS, one.name)
    await client.close()


async def follow(
    url: str, upto: int, between: Mapping[int, Between] | None = None, **asked: Any
) -> list[Received]:
    """What comes until a position; at some positions, something happens in between."""
    found = []
    async with asyncio.timeout(HANG_SECONDS):
        events = follow_nats(url, **asked)
        async for one in events:
            found.append(one)
            if one.position >= upto:
                break
            if between and one.position in between:
                await between[one.position]()
        await events.aclose()  # type: ignore[attr-defined]
    return found


def positions(found: list[Received]) -> list[int]:
    return [one.position for one in found]


def test_it_begins_after_the_position_and_gives_each_event_once(
    store: Store, nats_url: str
) -> None:
    renamings(store, 700)

    async def more() -> None:
        await asyncio.to_thread(renamings, store, 3)
        await publish(store, nats_url)

    async def scenario() -> None:
        await publish(store, nats_url)
        found = await follow(nats_url, 703, {700: more}, after=120)
        assert positions(found) == list(range(121, 704))
        assert found[0].event == events.ProjectRenamed(name="121")
        assert positions(await follow(nats_url, 1)) == [1]

    asyncio.run(scenario())


def test_filters_are_the_servers(store: Store, nats_url: str) -> None:
    view = ViewCreated("1", "which", "classification")
    append(
        store,
        ("project-1", ProjectCreated("One")),
        ("project-2", ProjectCreated("Two")),
        ("project-1", ProjectRenamed("Uno")),
        ("view-9", view),
        ("project-2", ProjectRenamed("Due")),
        ("project-1", ProjectRenamed("Eins")),
    )

    async def scenario() -> None:
        await publish(store, nats_url)

        async def found(upto: int, **asked: Any) -> list[int]:
            return positions(await follow(nats_url, upto, **asked))

        assert await found(6, names=["project.renamed"]) == [3, 5, 6]
        assert await found(4, names=["view.*"]) == [4]
        assert await found(6, names=["view.created", "project.*", "project.created"]) == [
            *range(1, 7)
        ]
        assert await found(6, subjects=["project-1"]) == [1, 3, 6]
        assert await found(5, subjects=["view-9", "project-2"], after=1) == [2, 4, 5]
        assert await found(5, names=["project.renamed"], subjects=["project-2"]) == [5]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"names": ["created"]}, "'created' is not a NATS subject"),
        ({"subjects": ["view-1.2"]}, "'view-1.2' is not a NATS subject"),
        ({"names": ["view.*"], "subjects": ["project-1"]}, "no event has one of the names"),
    ],
)
def test_filters_that_are_none_are_said(asked: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        asyncio.run(follow("nats://127.0.0.1:1", 1, **asked))


@pytest.mark.parametrize("name", [None, "mine"])
def test_a_lost_stream_or_consumer_is_no_loss(
    store: Store, nats_url: str, name: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    renamings(store, 300)

    async def lose_stream() -> None:
        await drop_stream(nats_url)
        await asyncio.to_thread(renamings, store, 40)
        await publish(store, nats_url)

    async def lose_consumer() -> None:
        await drop_consumers(nats_url)
        await asyncio.to_thread(renamings, store, 40)
        await publish(store, nats_url)

    async def scenario() -> None:
        await publish(store, nats_url)
        between = {300: lose_stream, 340: lose_consumer}
        found = await follow(nats_url, 380, between, after=9, consumer=name)
        assert positions(found) == list(range(10, 381))

    asyncio.run(scenario())
    assert (
        sum("following events was interrupted" in one.getMessage() for one in caplog.records) >= 2
    )


def test_a_restart_of_nats_is_no_loss(store: Store, private_nats: EmbeddedNats) -> None:
    renamings(store, 300)

    async def restart() -> None:
        await asyncio.to_thread(private_nats.stop)
        await asyncio.to_thread(private_nats.start)
        await asyncio.to_thread(renamings, store, 20)
        await publish(store, private_nats.url)

    async def scenario() -> None:
        await publish(store, private_nats.url)
        found = await follow(private_nats.url, 320, {10: restart})
        assert positions(found) == list(range(1, 321))

    asyncio.run(scenario())


def test_sequences_of_the_stream_may_run_ahead_of_positions(nats_url: str) -> None:
    """As they do once messages are gone: here, three before the first event and two in between."""

    async def scenario() -> None:
        client = await connect(nats_url, "test")
        js = client.jetstream()
        await js.add_stream(StreamConfig(name=EVENTS, subjects=[EVERY_EVENT]))
        for position in (0, 0, 0, 1, 2, 3, 0, 0, 4, 5, 6, 7):
            headers = HEADERS | {"ce-sequence": str(position), "ce-revision": str(position)}
            ack = await js.publish("stemma.events.project.renamed.1.1.-", b"{}", headers=headers)
            if not position:
                await js.delete_msg(EVENTS, ack.seq)
        for after in range(7):
            found = await follow(nats_url, 7, after=after)
            assert positions(found) == list(range(after + 1, 8))
        await js.delete_msg(EVENTS, 10)
        with pytest.raises(Gap, match="position 6 came after 4"):
            await follow(nats_url, 7, after=2)
        await client.close()

    asyncio.run(scenario())


HEADERS = {
    "ce-type": "project.renamed",
    "ce-schemaversion": "1",
    "ce-subject": "project-1",
}
