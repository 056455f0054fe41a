"""Who has nothing but docs/asyncapi.yaml finds the events on NATS, each as it is described."""

import asyncio
import json
import re

import nats
from nats.aio.msg import Msg

from adapters.nats.jetstream import ensure_streams
from adapters.subscriptions.relay import Relay
from application.log.store import Store
from tests.adapters.subscriptions.contract.test_asyncapi import DOCUMENT, validate
from tests.application.scenes import recorded
from tests.golden.write import EXAMPLES
from tests.waiting import HANG_SECONDS

CHANNEL = DOCUMENT["channels"]["events"]
ADDRESS = re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^.]+)", re.escape(CHANNEL["address"])))


def message_of(one: Msg) -> str:
    """The name of the description that fits a message's own account of itself."""
    headers = one.headers or {}
    return f"{headers['ce-type']}.v{headers['ce-schemaversion']}"


async def heard(url: str, count: int) -> list[Msg]:
    """The first messages on the channel's address."""
    client = await nats.connect(url)
    try:
        everything = re.sub(r"\{\w+\}", "*", CHANNEL["address"])
        subscription = await client.jetstream().subscribe(everything, ordered_consumer=True)
        return [await subscription.next_msg(timeout=HANG_SECONDS) for _ in range(count)]
    finally:
        await client.close()


def test_every_event_is_as_described(store: Store, nats_url: str) -> None:
    store.append(
        [
            recorded(f"{event.event_name.split('.')[0]}-{at}", 1, event)
            for at, event in enumerate(EXAMPLES)
        ]
    )

    async def scenario() -> list[Msg]:
        client = await nats.connect(nats_url)
        js = client.jetstream()
        await ensure_streams(js)
        await Relay(store, js).catch_up()
        await client.close()
        return await heard(nats_url, len(EXAMPLES))

    for one, event in zip(asyncio.run(scenario()), EXAMPLES, strict=True):
        path = f"components/messages/{message_of(one)}"
        validate(dict(one.headers or {}), f"{path}/headers")
        validate(json.loads(one.data), f"{path}/payload")
        told = ADDRESS.fullmatch(one.subject)
        assert told is not None
        assert f"{told['aggregate']}.{told['event']}" == event.event_name
        for name, parameter in CHANNEL["parameters"].items():
            assert told[name] in parameter.get("enum", [told[name]])
