"""What an operator, a limit or an accident does to the stream, and what the relay makes of it."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import pytest
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, StreamConfig, StreamState
from nats.js.errors import ServerError

from adapters.health.consumer_lag import read_database_status, read_stream_lags
from adapters.nats.jetstream import EVENTS, connect, end_tasks, ensure_streams
from adapters.postgres.postgres import engine_for
from adapters.servers.postgres import EmbeddedPostgres
from adapters.subscriptions import event_batches
from adapters.subscriptions import relay as relay_module
from adapters.subscriptions.relay import NotFromTheLog, PublishRefused, Relay, StreamAhead
from application.log.store import Store
from domain.dataset.image import Annotation, ImageAdded, ImageAnnotated
from domain.library.view import ViewCreated
from tests.adapters.running import eventually, messages, running, settings_for, with_js
from tests.adapters.subscriptions.test_relay import append, positions, published
from tests.application.scenes import recorded, trainable
from tests.servers import Database, new_database
from tests.waiting import HANG_SECONDS

OTHER = ViewCreated("p", "Other", "tagging")

Use = Callable[[JetStreamContext, Relay], Awaitable[None]]


def with_relay(store: Store, url: str, use: Use, **limits: Any) -> None:
    """A relay on a stream that may be purged and deleted from, with an operator's limits."""

    async def used(js: JetStreamContext) -> None:
        await js.add_stream(
            StreamConfig(name=EVENTS, subjects=["stemma.events.>"], allow_atomic=True, **limits)
        )
        await ensure_streams(js)
        await use(js, Relay(store, js))

    with_js(url, used)


async def state(js: JetStreamContext) -> StreamState:
    return (await js.stream_info(EVENTS)).state


async def held(js: JetStreamContext) -> list[tuple[int, int]]:
    """The sequences and the log positions of all that the stream holds."""
    found = await messages(js, EVENTS)
    return [(one.metadata.sequence.stream, _position(one.headers)) for one in found]


def _position(headers: Mapping[str, str] | None) -> int:
    return int((headers or {})["ce-sequence"])


async def standing(store: Store, js: JetStreamContext) -> tuple[int, int] | None:
    """Where health and `stemma status` see the relay, and how far behind."""
    with engine_for(store.database_url).connect() as connection:
        known = read_database_status(connection)
    found = {one.part: (one.position, one.behind) for one in await read_stream_lags(js, known)}
    return found.get("relay")


def test_what_the_relay_makes_nobody_purges_or_deletes_from(store: Store, nats_url: str) -> None:
    append(store, 2)

    async def use(js: JetStreamContext) -> None:
        await ensure_streams(js)
        await Relay(store, js).catch_up()
        with pytest.raises(ServerError, match="purge not permitted"):
            await js.purge_stream(EVENTS)
        with pytest.raises(ServerError, match="delete not permitted"):
            await js.delete_msg(EVENTS, 1)

    with_js(nats_url, use)


@pytest.mark.parametrize("again", ["the same relay", "a new relay"])
def test_a_purged_stream_is_filled_again_and_a_durable_consumer_carries_on(
    store: Store, nats_url: str, again: str
) -> None:
    append(store, 4)

    async def use(js: JetStreamContext, relay: Relay) -> None:
        await relay.catch_up()
        assert await held(js) == [(n, n) for n in range(1, 5)]
        subscription = await js.pull_subscribe("stemma.events.>", "follower", stream=EVENTS)
        first = await subscription.fetch(4, timeout=HANG_SECONDS)
        for message in first:
            await message.ack_sync()
        await js.purge_stream(EVENTS)
        await asyncio.to_thread(append, store, 2)
        if again == "the same relay":
            with pytest.raises(PublishRefused, match="wrong last sequence"):
                await relay.catch_up()
        else:
            relay = Relay(store, js)
        assert await relay.catch_up() == 6
        assert await held(js) == [(n + 4, n) for n in range(1, 7)]
        assert [
            _position(one.headers) for one in await subscription.fetch(6, timeout=HANG_SECONDS)
        ] == [*range(1, 7)]
        await asyncio.to_thread(append, store, 1)
        assert await relay.catch_up() == 1
        assert (await held(js))[-1] == (11, 7)

    with_relay(store, nats_url, use)


def test_a_relay_is_refused_after_anothers_batch_under_other_subjects(
    store: Store, nats_url: str
) -> None:
    append(store, 2)

    async def use(js: JetStreamContext, relay: Relay) -> None:
        await relay.catch_up()
        await js.purge_stream(EVENTS)  # from here on no message has an id that tells a repeat
        one, other = Relay(store, js), Relay(store, js)
        assert (await one.catch_up(), await other.catch_up()) == (2, 0)
        await asyncio.to_thread(store.append, [recorded("view-other", 1, OTHER)])
        assert await one.catch_up() == 1
        with pytest.raises(PublishRefused, match="wrong last sequence"):
            await other.catch_up()
        assert await held(js) == [(3, 1), (4, 2), (5, 3)]

    with_relay(store, nats_url, use)


@pytest.mark.parametrize("count", [1, 3, event_batches.CHAIN, event_batches.CHAIN + 1])
def test_what_is_cut_off_between_two_messages_leaves_no_hole(
    store: Store, nats_url: str, count: int
) -> None:
    """The relay knows of a message that is gone when the next ones come: each of them is refused,
    whether they are a chain or a batch, and under whatever subjects."""
    append(store, 2)

    async def use(js: JetStreamContext, relay: Relay) -> None:
        await relay.catch_up()
        assert relay._reached is not None
        others = [recorded(f"view-{number}", 1, OTHER) for number in range(count)]
        await asyncio.to_thread(store.append, others)
        (batch,) = relay._page_after(relay._reached)
        for cut in (js.delete_msg(EVENTS, 2), js.purge_stream(EVENTS)):
            await cut
            with pytest.raises(PublishRefused, match="wrong last sequence"):
                await relay._publish(batch)
        assert await held(js) == []
        assert await Relay(store, js).catch_up() == count + 2
        assert await held(js) == [(n + 2, n) for n in range(1, count + 3)]

    with_relay(store, nats_url, use)


def test_a_purge_within_a_chain_stops_its_rest(store: Store, nats_url: str) -> None:
    """Of a chain whose first message was taken and purged, no other one is taken."""
    append(store, 1)

    async def use(js: JetStreamContext, relay: Relay) -> None:
        await relay.catch_up()
        assert relay._reached is not None
        others = [recorded(f"view-{number}", 1, OTHER) for number in range(3)]
        await asyncio.to_thread(store.append, others)
        (batch,) = relay._page_after(relay._reached)
        assert len(batch.answered) == 3
        first = await relay._answer(batch.answered[0])
        assert first["seq"] == 2
        await js.purge_stream(EVENTS)
        for message in batch.answered[1:]:
            assert "wrong last sequence" in (await relay._answer(message))["error"]["description"]
        assert await Relay(store, js).catch_up() == 4
        assert await held(js) == [(n + 2, n) for n in range(1, 5)]

    with_relay(store, nats_url, use)


def test_a_running_relay_refills_a_stream_that_is_purged_while_nothing_happens(
    store: Store, nats_url: str, migrated: Database
) -> None:
    append(store, 3)

    async def purge(js: JetStreamContext, _: Relay) -> None:
        await js.purge_stream(EVENTS)

    async def nothing(js: JetStreamContext, _: Relay) -> None: ...

    with_relay(store, nats_url, nothing)
    with running(settings_for(migrated, nats_url), "relay"):
        eventually(lambda: published(nats_url) == [1, 2, 3])
        with_js(nats_url, lambda js: js.purge_stream(EVENTS))
        eventually(lambda: published(nats_url) == [1, 2, 3])


def test_a_lost_end_is_published_again(store: Store, nats_url: str) -> None:
    append(store, 5)

    async def use(js: JetStreamContext, relay: Relay) -> None:
        await relay.catch_up()
        await js.delete_msg(EVENTS, 5)
        await js.delete_msg(EVENTS, 4)
        assert await Relay(store, js).catch_up() == 2
        assert await held(js) == [(1, 1), (2, 2), (3, 3), (6, 4), (7, 5)]

    with_relay(store, nats_url, use)


def test_a_hole_is_reported_once_and_the_relay_goes_on(
    store: Store, nats_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    append(store, 5)

    async def use(js: JetStreamContext, relay: Relay) -> None:
        await relay.catch_up()
        await js.delete_msg(EVENTS, 2)
        await js.delete_msg(EVENTS, 3)
        relay = Relay(store, js)
        for _ in range(2):
            relay._looked = 0
            await relay.catch_up()
        await asyncio.to_thread(append, store, 1)
        await relay.catch_up()
        assert await held(js) == [(1, 1), (4, 4), (5, 5), (6, 6)]

    with_relay(store, nats_url, use)
    assert caplog.text.count("lacks 2 of the events up to position 5") == 1


@pytest.mark.parametrize("purged_before", [False, True])
def test_where_old_events_may_go_the_relay_goes_on_after_all_of_them_have_gone(
    store: Store, nats_url: str, purged_before: bool
) -> None:
    """A limit is simulated by a purge, which leaves the same: no message, and the sequences."""
    append(store, 3)

    async def use(js: JetStreamContext, relay: Relay) -> None:
        await relay.catch_up()
        if purged_before:
            await js.purge_stream(EVENTS)
            await Relay(store, js).catch_up()
        config = (await js.stream_info(EVENTS)).config
        config.max_msgs, config.max_age = 2, 3600
        await js.update_stream(config)
        assert [position for _, position in await held(js)] == [2, 3]
        await js.purge_stream(EVENTS)
        assert await Relay(store, js).catch_up() == 0
        await asyncio.to_thread(append, store, 1)
        assert await Relay(store, js).catch_up() == 1
        assert [position for _, position in await held(js)] == [4]

    with_relay(store, nats_url, use)


def test_a_purged_stream_that_keeps_a_number_of_events_is_filled_again(
    store: Store, nats_url: str
) -> None:
    append(store, 5)

    async def use(js: JetStreamContext, relay: Relay) -> None:
        await relay.catch_up()
        assert await held(js) == [(3, 3), (4, 4), (5, 5)]
        await js.purge_stream(EVENTS)
        assert await Relay(store, js).catch_up() == 5
        assert await held(js) == [(8, 3), (9, 4), (10, 5)]
        await asyncio.to_thread(append, store, 1)
        assert await Relay(store, js).catch_up() == 1
        assert (await held(js))[-1] == (11, 6)

    with_relay(store, nats_url, use, max_msgs=3)


def test_messages_expire_and_the_relay_goes_on(store: Store, nats_url: str) -> None:
    append(store, 3)

    async def use(js: JetStreamContext, relay: Relay) -> None:
        await relay.catch_up()
        while (await state(js)).messages:
            await asyncio.sleep(0.05)
        assert await standing(store, js) == (3, 0)
        await asyncio.to_thread(append, store, 1)
        assert await standing(store, js) == (3, 1)
        assert await relay.catch_up() == 1
        assert await standing(store, js) == (4, 0)
        assert (await state(js)).last_seq == 4

    with_relay(store, nats_url, use, max_age=1, duplicate_window=1)


def test_a_foreign_message_is_refused_by_name(store: Store, nats_url: str) -> None:
    append(store, 1)

    async def use(js: JetStreamContext, relay: Relay) -> None:
        await js.publish("stemma.events.some.thing", b"{}")
        with pytest.raises(NotFromTheLog, match=r"sequence 1, subject stemma.events.some.thing"):
            await relay.catch_up()
        assert await standing(store, js) is None

    with_relay(store, nats_url, use)


def test_a_log_that_is_restored_while_the_relay_runs_is_refused(
    store: Store, nats_url: str, postgres: EmbeddedPostgres, migrated_template: str
) -> None:
    append(store, 3)
    with new_database(postgres, migrated_template) as older:
        restored = Store(older.app_url)
        append(restored, 5)

        async def use(js: JetStreamContext, relay: Relay) -> None:
            await relay.catch_up()
            relay._store = restored
            with pytest.raises(StreamAhead):
                await relay.catch_up()
            assert [position for _, position in await held(js)] == [1, 2, 3]

        with_relay(store, nats_url, use)
        restored.close()


def test_an_event_too_large_for_nats_leaves_its_data_to_http_and_stops_nothing(
    store: Store, nats_url: str
) -> None:
    many = tuple(Annotation(f"{number:036}") for number in range(30_000))
    large = tuple(Annotation(f"{number:036}") for number in range(10_000))
    added = ImageAdded("p", "sha", 8, 8, "a.png", {})
    store.append([recorded("image-1", 1, added)])
    for revision, annotations in enumerate([many, *[large] * 9], start=2):
        store.append([recorded("image-1", revision, ImageAnnotated("v", annotations, False))])

    async def use(js: JetStreamContext, relay: Relay) -> None:
        assert await relay.catch_up() == 11
        found = await messages(js, EVENTS)
        assert [_position(one.headers) for one in found] == list(range(1, 12))
        [referred] = [one for one in found if "ce-dataref" in (one.headers or {})]
        assert (referred.data, _position(referred.headers)) == (b"", 2)
        assert (referred.headers or {})["ce-dataref"] == "/api/v1/events/2/data"
        assert len(json.loads(found[-1].data)["annotations"]) == 10_000
        assert len({(one.headers or {}).get("Nats-Batch-Id") for one in found}) > 1

    with_relay(store, nats_url, use)


def test_odd_ids_and_texts_are_encoded(store: Store, nats_url: str) -> None:
    event = recorded("image-a b.c*>ü", 1, ImageAdded("x.y", "sha", 8, 8, "a.png", {}))
    metadata = msgspec.structs.replace(event.metadata, actor='user:"Zoë" 100%')
    store.append([msgspec.structs.replace(event, metadata=metadata)])

    async def use(js: JetStreamContext, relay: Relay) -> None:
        await relay.catch_up()
        [one] = await messages(js, EVENTS)
        assert one.subject == "stemma.events.image.added.a%20b%2Ec%2A%3E%C3%BC.x%2Ey.-"
        headers = one.headers or {}
        assert headers["ce-actor"] == "user:%22Zo%C3%AB%22%20100%25"
        assert headers["ce-subject"] == "image-a%20b.c*>%C3%BC"

    with_relay(store, nats_url, use)


def test_subjects_take_one_project_one_view_and_one_version(store: Store, nats_url: str) -> None:
    scene, other = trainable(store), trainable(store)
    version, _ = scene.train(), other.train()

    async def names(js: JetStreamContext, subject: str) -> set[str]:
        config = ConsumerConfig(filter_subject=subject)
        subscription = await js.pull_subscribe(subject, stream=EVENTS, config=config)
        total = (await subscription.consumer_info()).num_pending or 0
        found: list[Msg] = await subscription.fetch(total, timeout=HANG_SECONDS) if total else []
        return {(one.headers or {})["ce-subject"] for one in found}

    async def use(js: JetStreamContext, relay: Relay) -> None:
        await relay.catch_up()
        images = {f"image-{one}" for one in scene.images}
        of_view = {f"view-{scene.view}", f"model-{scene.model()}", f"version-{version}"}
        assert await names(js, f"stemma.events.*.*.*.*.{scene.view}") == of_view | images
        of_project = of_view | images | {f"project-{scene.project}"}
        assert await names(js, f"stemma.events.*.*.*.{scene.project}.>") == of_project
        assert await names(js, f"stemma.events.*.*.{version}.>") == {f"version-{version}"}
        # A new relay, that has seen none of the first events, names them alike.
        before = [one.subject for one in await messages(js, EVENTS)]
        await js.purge_stream(EVENTS)
        await Relay(store, js).catch_up()
        assert [one.subject for one in await messages(js, EVENTS)] == before

    with_relay(store, nats_url, use)


class Watched(Store):
    """A log that tells one who stands by where it ends, each time that the test lets it."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked, self.let = threading.Semaphore(0), threading.Semaphore(0)

    def head(self) -> int:
        self.asked.release()
        assert self.let.acquire(timeout=HANG_SECONDS)
        return super().head()


def test_of_two_running_relays_one_stands_by_and_takes_over(
    store: Store, migrated: Database, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "LOOK_SECONDS", HANG_SECONDS)
    watched = Watched(migrated.app_url)

    async def race() -> None:
        clients = [await connect(nats_url, f"relay {number}") for number in range(2)]
        first = Relay(store, clients[0].jetstream())
        second = Relay(watched, clients[1].jetstream())
        await ensure_streams(clients[0].jetstream())
        for relay in (first, second):
            await relay.catch_up()
        await asyncio.to_thread(append, store, 1)
        await first.catch_up()
        await asyncio.to_thread(append, store, 1)
        with pytest.raises(PublishRefused):
            await second.catch_up()
        monkeypatch.setattr(relay_module, "LOOK_SECONDS", 0.0)
        standing_by = asyncio.ensure_future(second.stand_by(threading.Event()))
        for _ in range(12):
            # It has seen where the stream ends; at the next look it ends further on.
            assert await asyncio.to_thread(watched.asked.acquire, timeout=HANG_SECONDS)
            await asyncio.to_thread(append, store, 1)
            await first.catch_up()
            watched.let.release()
        assert await asyncio.to_thread(watched.asked.acquire, timeout=HANG_SECONDS)
        assert not standing_by.done()
        await asyncio.to_thread(append, store, 1)
        watched.let.release(2)
        await asyncio.wait_for(standing_by, HANG_SECONDS)
        assert await second.catch_up() == 1
        await end_tasks(standing_by)
        for client in clients:
            await client.close()

    asyncio.run(race())
    watched.close()
    assert published(nats_url) == positions(store)
