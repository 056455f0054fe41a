"""A stolen seed of a guest, used for all that NATS can be asked: what it gets is what it may."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js.errors import APIError

from adapters.nats.jetstream import (
    CHECKPOINTS,
    CONTROL_STREAM,
    EVENTS,
    JOBS,
    STREAM_NAMES,
    WORKERS_BUCKET,
    connect,
    jetstream,
    job_consumer,
)
from adapters.nats.roles import NatsRole
from tests.adapters.nats.access.lab import (
    GUESTS,
    JOB,
    NAMES,
    OPERATOR,
    SUBSCRIBER,
    WORKER,
    Lab,
    api,
    asked,
    consumer,
)
from tests.waiting import HANG_SECONDS

OF_STREAMS = (
    "STREAM.UPDATE",
    "STREAM.DELETE",
    "STREAM.PURGE",
    "STREAM.SNAPSHOT",
    "STREAM.RESTORE",
    "STREAM.MSG.DELETE",
    "STREAM.LEADER.STEPDOWN",
    "STREAM.PEER.REMOVE",
    "CONSUMER.NAMES",
    "CONSUMER.CREATE",
)
OF_CONSUMERS = (
    "CONSUMER.CREATE",
    "CONSUMER.DURABLE.CREATE",
    "CONSUMER.DELETE",
    "CONSUMER.INFO",
    "CONSUMER.MSG.NEXT",
    "CONSUMER.PAUSE",
    "CONSUMER.UNPIN",
    "CONSUMER.RESET",
    "CONSUMER.LEADER.STEPDOWN",
)
OF_ALL = (
    "INFO",
    "STREAM.LIST",
    "STREAM.NAMES",
    "STREAM.CREATE.MINE",
    "STREAM.TEMPLATE.CREATE.MINE",
    "ACCOUNT.PURGE.STEMMA",
    "ACCOUNT.STREAM.MOVE.STEMMA.EVENTS",
    "META.LEADER.STEPDOWN",
    "SERVER.REMOVE",
)
OF_THE_SYSTEM = (
    "$SYS.REQ.SERVER.PING",
    "$SYS.REQ.SERVER.PING.VARZ",
    "$SYS.REQ.SERVER.PING.JSZ",
    "$SYS.REQ.ACCOUNT.STEMMA.CONNZ",
    "$SYS.REQ.ACCOUNT.STEMMA.JSZ",
    "$SYS.REQ.ACCOUNT.STEMMA.INFO",
    "$SYS.REQ.CLAIMS.LIST",
    "$SYS.REQ.CLAIMS.UPDATE",
)


def _forbidden() -> Iterator[str]:
    for stream in STREAM_NAMES:
        yield from (api(verb, stream) for verb in OF_STREAMS)
        for name in ("other", "worker-default", "worker-more"):
            for verb in OF_CONSUMERS:
                yield api(verb, stream, name)
                yield api(verb, stream, name, "stemma.>")
            yield f"$JS.ACK.{stream}.{name}.1.1.1.1.0"
            yield f"$JS.ACK.stemma.hash.{stream}.{name}.1.1.1.1.0"
            yield f"$JS.FC.{stream}.{name}.1"
        yield api("DIRECT.GET", stream, "stemma.>")
    yield from (api(verb) for verb in OF_ALL)
    yield from OF_THE_SYSTEM
    yield from ("stemma", "stemma.else", "stemma.jobs.train.more", "$KV.control.v1", "$KV.else.v1")


MAY = {
    WORKER: {
        api("CONSUMER.INFO", JOBS, "worker-default"),
        api("CONSUMER.MSG.NEXT", JOBS, "worker-default"),
        f"$JS.ACK.{JOBS}.worker-default.1.1.1.1.0",
    },
    SUBSCRIBER: {api("DIRECT.GET", stream, "stemma.>") for stream in (EVENTS, CHECKPOINTS)},
}


@pytest.mark.parametrize("role", GUESTS)
def test_a_guest_is_answered_by_nothing_else_of_jetstream_and_the_system(
    lab: Lab, role: NatsRole
) -> None:
    before = lab.state()
    requests = [(subject, b"?") for subject in _forbidden()]
    answered = asyncio.run(asked(lab.login(role), requests))
    assert answered == MAY.get(role, set())
    assert lab.state() == before


@pytest.mark.parametrize("role", GUESTS)
def test_of_the_connections_to_the_server_a_guest_sees_its_own(lab: Lab, role: NatsRole) -> None:
    """What nats-server lets every account ask is about that account, whatever is asked."""
    wide = json.dumps({"account": "STEMMA", "acc": "STEMMA", "accounts": ["STEMMA"], "auth": True})

    async def look(client: Client) -> set[str]:
        operator = await connect(lab.login(OPERATOR), "somebody else")
        seen = set()
        for subject in ("SERVER.PING.CONNZ", "ACCOUNT.PING.CONNZ"):
            reply = await client.request(f"$SYS.REQ.{subject}", wide.encode(), timeout=HANG_SECONDS)
            seen |= {one["account"] for one in json.loads(reply.data)["data"]["connections"]}
        reply = await client.request(
            "$SYS.REQ.ACCOUNT.PING.STATZ", wide.encode(), timeout=HANG_SECONDS
        )
        seen |= {one["acc"] for one in json.loads(reply.data)["data"]["account_statz"]}
        await operator.close()
        return seen

    assert lab.run(role, look) == {f"{role}-{NAMES[role] or role}"}


TRICKS = [
    ("CONSUMER.CREATE", consumer(JOBS, "mine"), "stream name in subject does not match"),
    ("CONSUMER.DURABLE.CREATE", consumer(CONTROL_STREAM, "mine"), "stream name in subject"),
    ("CONSUMER.CREATE", consumer(EVENTS, "other"), "consumer name in subject does not match"),
    ("CONSUMER.DURABLE.CREATE", consumer(EVENTS, "other"), "consumer name in subject"),
    ("CONSUMER.CREATE", consumer(EVENTS, "mine", sourcing=True), "sourcing can not be updated"),
]


@pytest.mark.parametrize(("verb", "payload", "says"), TRICKS)
def test_a_request_that_says_something_else_than_its_subject_is_refused(
    lab: Lab, verb: str, payload: bytes, says: str
) -> None:
    async def ask(client: Client) -> dict[str, Any]:
        reply = await client.request(api(verb, EVENTS, "mine"), payload, timeout=HANG_SECONDS)
        return dict(json.loads(reply.data))

    assert says in lab.run(SUBSCRIBER, ask)["error"]["description"]


def test_a_subscriber_reads_no_other_stream_by_way_of_its_own(lab: Lab) -> None:
    async def ask(client: Client) -> None:
        by_subject = b'{"last_by_subj": "$KV.control.v1"}'
        reply = await client.request(
            api("STREAM.MSG.GET", EVENTS), by_subject, timeout=HANG_SECONDS
        )
        assert json.loads(reply.data)["error"]["description"] == "no message found"
        found = await client.request(
            api("DIRECT.GET", EVENTS, "$KV.control.v1"), b"", timeout=HANG_SECONDS
        )
        assert (found.headers or {})["Status"] == "404"

    lab.run(SUBSCRIBER, ask)


HEADERS: list[dict[str, str]] = [
    {"Nats-Rollup": "all"},
    {"Nats-Rollup": "sub"},
    {"Nats-TTL": "1s"},
    {
        "Nats-Schedule": "@at 2030-01-01T00:00:00Z",
        "Nats-Schedule-Target": "stemma.reports.other.v1",
    },
    {"Nats-Batch-Id": "a", "Nats-Batch-Sequence": "1", "Nats-Batch-Commit": "1"},
    {"Nats-Incr": "1"},
    {"Nats-Stream-Source": "JOBS 1 > >"},
]


@pytest.mark.parametrize("headers", HEADERS, ids=lambda headers: next(iter(headers)))
@pytest.mark.parametrize("subject", ["stemma.reports.mine.v1", f"$KV.{WORKERS_BUCKET}.mine"])
def test_a_worker_makes_the_server_do_nothing_by_a_header(
    lab: Lab, subject: str, headers: dict[str, str]
) -> None:
    before = lab.state()

    async def send(client: Client) -> None:
        with pytest.raises(APIError):
            await jetstream(client, "seed").publish(
                subject, b"{}", headers=headers, timeout=HANG_SECONDS
            )

    lab.run(WORKER, send)
    assert lab.state() == before


def test_a_worker_can_end_the_job_of_another_of_its_queue(lab: Lab) -> None:
    """What NATS has no permission for: an acknowledgement names a delivery by numbers. It is why
    the guide says that workers of one queue trust each other."""

    async def take(client: Client) -> str:
        js = jetstream(client, "seed")
        held = await js.pull_subscribe_bind(consumer=job_consumer("default"), stream=JOBS)
        (message,) = await held.fetch(1, timeout=HANG_SECONDS)
        await held.unsubscribe()
        return message.reply

    async def end(client: Client, delivery: str) -> None:
        await client.request(delivery, b"+TERM", timeout=HANG_SECONDS)

    lab.run(OPERATOR, lambda client: client.jetstream().publish(JOB, b"{}"))
    before = lab.state()[JOBS][0]
    delivery = lab.run(WORKER, take, "other")
    lab.run(WORKER, lambda client: end(client, delivery))
    assert lab.state()[JOBS][0] == before - 1
