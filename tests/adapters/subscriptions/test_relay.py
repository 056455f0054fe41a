"""The relay puts the whole log on the EVENTS stream: in order, without gap, once."""

import asyncio
import json
from pathlib import Path

import pytest
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from adapters.nats.jetstream import EVENTS, connect, ensure_streams
from adapters.servers.nats import EmbeddedNats
from adapters.servers.postgres import EmbeddedPostgres
from adapters.subscriptions.relay import PublishRefused, Relay, StreamAhead
from application.log.store import Store
from domain.dataset.image import ImageAdded
from domain.dataset.project import ProjectCreated, ProjectRenamed
from domain.trace_context import traceparent
from tests.adapters.running import eventually, kill, messages, running, settings_for, with_js
from tests.application.scenes import recorded
from tests.servers import Database, new_database


def append(store: Store, count: int, project: str = "1") -> None:
    stream = f"project-{project}"
    first = len(store.streams([stream])[stream]) + 1
    events = [
        recorded(stream, revision, ProjectRenamed(f"name {revision}"))
        for revision in range(first, first + count)
    ]
    if events:
        store.append(events)


def positions(store: Store) -> list[int]:
    return [one.position for one in store.read_all()]


def published(url: str) -> list[int]:
    """The log positions of the events on the stream, in the stream's order."""

    async def read(js: JetStreamContext) -> list[Msg]:
        await ensure_streams(js)
        return await messages(js, EVENTS)

    return [
        int(message.headers["ce-sequence"]) for message in with_js(url, read) if message.headers
    ]


def relay(store: Store, url: str) -> int:
    async def once(js: JetStreamContext) -> int:
        await ensure_streams(js)
        return await Relay(store, js).catch_up()

    return with_js(url, once)


def test_the_log_is_published_in_order_and_once(store: Store, nats_url: str) -> None:
    append(store, 1203)
    assert relay(store, nats_url) == 1203
    assert relay(store, nats_url) == 0
    assert published(nats_url) == positions(store) == list(range(1, 1204))


def test_a_new_relay_goes_on_after_the_streams_last_message(store: Store, nats_url: str) -> None:
    append(store, 7)
    relay(store, nats_url)
    append(store, 5)
    assert relay(store, nats_url) == 5
    assert published(nats_url) == positions(store)


def test_an_event_is_a_cloud_event(store: Store, nats_url: str) -> None:
    store.append([recorded("project-77", 1, ProjectCreated("Digits"))])
    relay(store, nats_url)
    [one] = store.read(0)

    async def first(js: JetStreamContext) -> Msg:
        return (await messages(js, EVENTS))[0]

    message = with_js(nats_url, first)
    assert message.subject == "stemma.events.project.created.77.77.-"
    assert json.loads(message.data) == {"event": "project.created", "name": "Digits"}
    headers = dict(message.headers or {})
    batch = {name for name in headers if name.startswith("Nats-")} - {"Nats-Msg-Id"}
    assert {name: headers[name] for name in headers.keys() - batch} == {
        "Nats-Msg-Id": one.metadata.event_id,
        "ce-specversion": "1.0",
        "ce-id": one.metadata.event_id,
        "ce-source": "/stemma",
        "ce-type": "project.created",
        "ce-subject": "project-77",
        "ce-time": one.metadata.occurred_at.isoformat(),
        "ce-datacontenttype": "application/json",
        "ce-dataschema": "/schemas/events/project.created/1.json",
        "ce-sequence": "0000000000000000001",
        "ce-revision": "1",
        "ce-schemaversion": "1",
        "ce-actor": "test",
        "ce-correlationid": "correlation",
        "ce-traceparent": traceparent("correlation", one.metadata.event_id),
        "traceparent": traceparent("correlation", one.metadata.event_id),
    }


def test_nothing_personal_is_published(store: Store, nats_url: str) -> None:
    added = ImageAdded("project-1", "sha", 8, 8, "Ada Lovelace.png", {"patient": "Lovelace"})
    store.append([recorded("image-1", 1, added)])
    relay(store, nats_url)

    async def first(js: JetStreamContext) -> Msg:
        return (await messages(js, EVENTS))[0]

    message = with_js(nats_url, first)
    told = json.loads(message.data)
    assert (told["file_name"], told["metadata"]) == ("[erased]", {})
    assert "Lovelace" not in str(message.headers)


def test_a_deleted_stream_is_filled_again(store: Store, nats_url: str) -> None:
    append(store, 600)
    relay(store, nats_url)
    with_js(nats_url, lambda js: js.delete_stream(EVENTS))
    assert relay(store, nats_url) == 600
    assert published(nats_url) == positions(store)


@pytest.mark.parametrize("written_since", [0, 3, 5])
def test_a_log_restored_from_an_older_copy_is_refused(
    store: Store,
    nats_url: str,
    postgres: EmbeddedPostgres,
    migrated_template: str,
    written_since: int,
) -> None:
    """Also if it has been written to since, as far as the stream's last position or beyond."""
    append(store, 3)
    relay(store, nats_url)
    with new_database(postgres, migrated_template) as older:
        restored = Store(older.app_url)
        append(restored, written_since)
        with pytest.raises(StreamAhead, match="at position 3 that the log does not have"):
            relay(restored, nats_url)
        restored.close()
    assert published(nats_url) == [1, 2, 3]


def test_a_batch_left_unfinished_leaves_nothing(store: Store, nats_url: str) -> None:
    append(store, 3)

    async def leave_half(js: JetStreamContext) -> None:
        await ensure_streams(js)
        for place in ("1", "2"):
            headers = {"Nats-Batch-Id": "half", "Nats-Batch-Sequence": place, "ce-sequence": place}
            await js._nc.publish("stemma.events.project.renamed.1", b"{}", headers=headers)
        await js._nc.flush()

    with_js(nats_url, leave_half)
    relay(store, nats_url)
    assert published(nats_url) == positions(store)


def test_of_two_relays_at_once_each_event_is_published_by_one(store: Store, nats_url: str) -> None:
    async def race() -> int:
        clients = [await connect(nats_url, f"relay {number}") for number in range(2)]
        streams = [client.jetstream() for client in clients]
        await ensure_streams(streams[0])
        relays = [Relay(store, js) for js in streams]
        refused = 0
        for _ in range(12):
            await asyncio.to_thread(append, store, 40)
            outcomes = await asyncio.gather(
                *(relay.catch_up() for relay in relays), return_exceptions=True
            )
            for outcome in outcomes:
                assert isinstance(outcome, int | PublishRefused), outcome
                refused += isinstance(outcome, PublishRefused)
        while await relays[0].catch_up():
            pass
        for client in clients:
            await client.close()
        return refused

    assert asyncio.run(race()) > 0
    assert published(nats_url) == positions(store)


def test_a_running_relay_follows_the_log(store: Store, nats_url: str, migrated: Database) -> None:
    with running(settings_for(migrated, nats_url), "relay"):
        for number in range(5):
            append(store, 3, str(number))
            eventually(lambda: published(nats_url) == positions(store))


def test_running_relays_survive_the_loss_of_their_stream_and_each_other(
    store: Store, nats_url: str, migrated: Database
) -> None:
    settings = settings_for(migrated, nats_url)
    with running(settings, "relay"), running(settings, "relay"):
        append(store, 30)
        eventually(lambda: published(nats_url) == positions(store))
        with_js(nats_url, lambda js: js.delete_stream(EVENTS))
        append(store, 30)
        eventually(lambda: published(nats_url) == positions(store))


def test_a_running_relay_survives_restarts_of_nats(
    store: Store, migrated: Database, private_nats: EmbeddedNats
) -> None:
    with running(settings_for(migrated, private_nats.url), "relay"):
        for take_down in (private_nats.stop, lambda: kill(private_nats)):
            append(store, 20)
            take_down()
            append(store, 20)
            private_nats.start()
            append(store, 20)
            eventually(lambda: published(private_nats.url) == positions(store))


@pytest.mark.usefixtures("soon_given_up")
def test_a_relay_stops_while_nats_is_down(
    store: Store, migrated: Database, private_nats: EmbeddedNats
) -> None:
    with running(settings_for(migrated, private_nats.url), "relay"):
        append(store, 1)
        eventually(lambda: published(private_nats.url) == positions(store))
        kill(private_nats)
        append(store, 1)


@pytest.mark.usefixtures("soon_given_up")
@pytest.mark.parametrize("part", ["relay", "ingest", "policies"])
def test_a_part_that_finds_no_nats_stops_when_it_is_told_to(
    part: str,
    migrated: Database,
    private_nats: EmbeddedNats,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = settings_for(migrated, private_nats.url, tmp_path)
    kill(private_nats)
    with caplog.at_level("WARNING"), running(settings, part):
        eventually(lambda: "Connect call failed" in caplog.text)
