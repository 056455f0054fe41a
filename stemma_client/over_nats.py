"""Following events over NATS: a consumer from a position, recreated when it is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeout
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from stemma_client.large_events import api_client, with_data
from stemma_client.nats_filters import EVERY_EVENT, filters_of
from stemma_client.nats_seat import Seat
from stemma_client.order import Order
from stemma_client.received import Received, attributes_in, received

STREAM = "EVENTS"
BATCH = 256
LOOK_SECONDS = 5.0
RETRY_SECONDS = 1.0
FORGOTTEN_SECONDS = 300.0
"""After this time without a request the server deletes the consumer."""

log = logging.getLogger(__name__)


class _Lost(Exception):
    """Messages were lost between the server and this client."""


async def follow_nats(
    url: str,
    *,
    after: int = 0,
    names: Sequence[str] = (),
    subjects: Sequence[str] = (),
    consumer: str | None = None,
    domain: str | None = None,
    api_url: str | None = None,
    key: str | None = None,
    **connection: Any,
) -> AsyncIterator[Received]:
    """All events after a position, including future ones; it ends only with an exception.

    `names` are names of events, or all of a kind, such as `version.*`. `subjects` are, for example,
    `version-…`. `consumer` is the consumer name of your seed; by default the server gives
    it. Two clients with the same consumer name take it from each other. `api_url` and `key` are
    used to fetch the data of events that are larger than a message; without them, such an event is
    `Unknown`, with no fields. `connection` are options of `nats.connect`. It retries while a server
    cannot be reached or the stream is being recreated. Raises `ValueError` for invalid filters,
    `Gap`, and `Refused` for a seed that may not follow, or not with that consumer name, and for
    data that the key may not read.
    """
    filters = list(filters_of(names, subjects))
    order = Order(after, every_position=filters == [EVERY_EVENT], every_revision=not names)
    seat = Seat()
    client = await seat.connect(url, **connection)
    api = api_client(api_url, key)
    try:
        js = client.jetstream(domain=domain, timeout=LOOK_SECONDS)
        while True:
            seat.refuse_closed()
            try:
                consumer = await seat.consumer(consumer)
                async for message in _messages(js, filters, order.after, consumer):
                    event = _received(message)
                    if not order.takes(event):
                        continue
                    refers = api_url is not None and "dataref" in event.attributes
                    yield await with_data(event, api) if refers else event
            except (NatsError, _Lost) as error:
                log.warning(
                    "following events was interrupted and restarts: %s",
                    error or type(error).__name__,
                )
            await asyncio.sleep(RETRY_SECONDS)
    finally:
        await api.aclose()
        with suppress(OSError):  # the connection is lost, and has nothing left to send
            await client.close()


def _received(message: Msg) -> Received:
    return received(attributes_in(message.headers or {}), message.data)


async def _messages(
    js: JetStreamContext, filters: list[str], after: int, name: str | None
) -> AsyncIterator[Msg]:
    """The messages of a new consumer, until one is lost. Raises `_Lost` and errors of NATS."""
    if name is not None:
        with suppress(NotFoundError):
            await js.delete_consumer(STREAM, name)
    config = ConsumerConfig(
        name=name,
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        # A sequence is never less than its event's position; events already seen are skipped.
        opt_start_seq=after + 1,
        filter_subjects=filters,
        ack_policy=AckPolicy.NONE,
        inactive_threshold=FORGOTTEN_SECONDS,
        mem_storage=True,
        num_replicas=1,
    )
    consumer = (await js.add_consumer(STREAM, config)).name
    subscription = await js.pull_subscribe_bind(consumer=consumer, stream=STREAM)
    try:
        delivered = 0
        while True:
            try:
                messages = await subscription.fetch(BATCH, timeout=LOOK_SECONDS)
            except NatsTimeout:
                messages = []
                info = await js.consumer_info(STREAM, consumer)
                if info.delivered is None or info.delivered.consumer_seq != delivered:
                    raise _Lost("some did not arrive") from None
            for message in messages:
                delivered += 1
                if message.metadata.sequence.consumer != delivered:
                    raise _Lost("one did not arrive")
                yield message
    finally:
        with suppress(NatsError):
            await subscription.unsubscribe()
