"""The relay: every event of the log onto the EVENTS stream, in order, once.

The stream itself says how far it is: its last message carries the position of its event. Each
batch is atomic and names the stream sequence it must follow, so of two relays one is refused.
"""

import asyncio
import json
import logging
import threading
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from adapters.jetstream import EVENTS, connect, ensure_streams, event_subject, run_until_stopped
from adapters.nats_login import NatsLogin
from adapters.postgres import wake_ups
from application.store import CHANNEL, Store
from domain.event import Recorded
from domain.personal import without_personal

BATCH = 500
"""JetStream takes at most 1,000 messages in an atomic batch."""

log = logging.getLogger(__name__)


class StreamAhead(Exception):
    """The stream holds an event that the log does not: the log was restored from an older copy."""


class PublishRefused(Exception):
    """The stream did not take a batch: another relay was first, or the server is not well."""


def run_relay(store: Store, nats: NatsLogin, stop: threading.Event) -> None:
    """Publish what the log has and the stream lacks, and go on as the log grows."""
    run_until_stopped(_run(store, nats, stop), stop)


async def _run(store: Store, nats: NatsLogin, stop: threading.Event) -> None:
    client = await connect(nats, "stemma relay")
    try:
        js = client.jetstream()
        await ensure_streams(js)
        wakes = wake_ups(store.database_url, CHANNEL, stop)
        while await asyncio.to_thread(next, wakes, False) is None:
            await relay_once(store, js)
    finally:
        await client.close()


async def relay_once(store: Store, js: JetStreamContext) -> int:
    """Publish all that the stream lacks; return how many events that was.

    Raises `StreamAhead`, or `PublishRefused` where a batch was not taken.
    """
    sequence, position, event_id = await last_published(js)
    if position:
        same = await asyncio.to_thread(store.read, position - 1, limit=1, upto=position)
        if [recorded.metadata.event_id for recorded in same] != [event_id]:
            raise StreamAhead(
                f"stream {EVENTS} ends with an event at position {position} that the log does not"
                " have there: the database looks restored from an older copy; restore the newer"
                " one, or delete the stream to refill it"
            )
    published = 0
    while page := await asyncio.to_thread(store.read, position, limit=BATCH):
        sequence = await _publish(js, page, sequence)
        position = page[-1].position
        published += len(page)
    return published


async def last_published(js: JetStreamContext) -> tuple[int, int, str]:
    """The stream's last sequence, and the log position and id of the event in it."""
    state = (await js.stream_info(EVENTS)).state
    if state.messages == 0:
        return state.last_seq, 0, ""
    try:
        message = await js.get_msg(EVENTS, seq=state.last_seq)
    except NotFoundError as error:
        raise PublishRefused("the stream's last message is gone; looking again") from error
    headers = message.headers or {}
    return state.last_seq, int(headers["ce-sequence"]), headers["ce-id"]


async def _publish(js: JetStreamContext, page: Sequence[Recorded], sequence: int) -> int:
    client = js._nc  # the only way the library offers to a batch's unacknowledged messages
    batch = uuid.uuid4().hex
    for place, recorded in enumerate(page, start=1):
        subject = event_subject(recorded.event.event_name, recorded.entity_id)
        payload = msgspec.json.encode(without_personal(recorded.event))
        headers = cloud_event_headers(recorded) | {
            "Nats-Batch-Id": batch,
            "Nats-Batch-Sequence": str(place),
        }
        if place == 1:
            headers["Nats-Expected-Last-Sequence"] = str(sequence)
        if place < len(page):
            await client.publish(subject, payload, headers=headers)
            continue
        headers["Nats-Batch-Commit"] = "1"
        reply = await client.request(subject, payload, headers=headers, timeout=10)
    answer: dict[str, Any] = json.loads(reply.data)
    if "error" in answer:
        raise PublishRefused(f"stream {EVENTS}: {answer['error'].get('description')}")
    return int(answer["seq"])


def cloud_event_headers(recorded: Recorded) -> dict[str, str]:
    """CloudEvents 1.0 in the binary mode of its NATS binding, and the id that JetStream knows."""
    return {
        "Nats-Msg-Id": recorded.metadata.event_id,
        "ce-specversion": "1.0",
        "ce-id": recorded.metadata.event_id,
        "ce-source": "/stemma",
        "ce-type": recorded.event.event_name,
        "ce-subject": recorded.stream,
        "ce-time": recorded.metadata.occurred_at.isoformat(),
        "ce-datacontenttype": "application/json",
        "ce-sequence": str(recorded.position),
        "ce-revision": str(recorded.originator_version),
        "ce-schemaversion": str(recorded.event.schema_version),
        "ce-actor": recorded.metadata.actor,
        "ce-correlationid": recorded.metadata.correlation_id,
    }
