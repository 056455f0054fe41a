"""What the roles are there for goes well, and goes no further."""

import nats
import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import ConsumerConfig

from adapters.audit.records import stream_record
from adapters.nats.jetstream import (
    DOMAIN,
    EVENTS,
    WORKERS_BUCKET,
    WORKERS_STREAM,
    jetstream,
)
from adapters.nats.roles import NatsRole
from adapters.training.worker_pool import read_worker_pool
from tests.adapters.nats.access.lab import (
    API,
    BACKEND,
    OPERATOR,
    SUBSCRIBER,
    WORKER,
    Lab,
)
from tests.waiting import HANG_SECONDS

PRESENCE = b'{"worker":"other","device":"gpu","version_id":null,"since":"2026-01-01T00:00:00Z"}'


def test_a_worker_takes_nobody_elses_key_away(lab: Lab) -> None:
    async def roll_up(client: Client) -> None:
        js = jetstream(client, "seed")
        for headers in (
            {"Nats-Rollup": "all"},
            {"Nats-Rollup": "all", "KV-Operation": "PURGE"},
        ):
            with pytest.raises(nats.js.errors.APIError, match="rollup not permitted"):
                await js.publish(f"$KV.{WORKERS_BUCKET}.mine", b"", headers=headers)

    async def keys(client: Client) -> list[str]:
        return list(await (await client.jetstream().key_value(WORKERS_BUCKET)).keys())

    lab.run(
        OPERATOR, lambda client: client.jetstream().publish(f"$KV.{WORKERS_BUCKET}.other", b"1")
    )
    lab.run(WORKER, roll_up)
    assert "other" in lab.run(OPERATOR, keys)


def test_a_subscriber_follows_acknowledges_and_goes_on(lab: Lab) -> None:
    async def follow(client: Client) -> list[int]:
        js = client.jetstream(domain=DOMAIN)
        await js.delete_consumer(EVENTS, "mine")
        config = ConsumerConfig(ack_policy="explicit", max_ack_pending=1)  # type: ignore[arg-type]
        seen = []
        for _ in range(2):
            subscription = await js.pull_subscribe(
                "stemma.events.view.>", durable="mine", stream=EVENTS, config=config
            )
            (message,) = await subscription.fetch(1, timeout=HANG_SECONDS)
            seen.append(message.metadata.sequence.stream)
            await message.ack_sync()
            await subscription.unsubscribe()
        return seen

    assert lab.run(SUBSCRIBER, follow) == [1, 2]


def test_the_api_sees_who_works(lab: Lab) -> None:
    async def write(client: Client) -> None:
        js = client.jetstream()
        await js.purge_stream(WORKERS_STREAM)
        await js.publish(f"$KV.{WORKERS_BUCKET}.other", PRESENCE)
        await js.publish(f"$KV.{WORKERS_BUCKET}.gone", b"", headers={"KV-Operation": "DEL"})

    lab.run(OPERATOR, write)
    pool = lab.run(API, lambda client: read_worker_pool(jetstream(client, "seed")))
    assert [one.worker for one in pool.workers] == ["other"]


@pytest.mark.parametrize("said", [b"", b"{}", b"\xff", PRESENCE])
def test_a_worker_that_says_nonsense_hides_no_other(lab: Lab, said: bytes) -> None:
    lab.run(WORKER, lambda client: put(client, "other", PRESENCE), "other")
    lab.run(WORKER, lambda client: put(client, "mine", said))
    pool = lab.run(API, lambda client: read_worker_pool(jetstream(client, "seed")))
    assert [(one.worker, one.device) for one in pool.workers] == [("other", "gpu")]


async def put(client: Client, name: str, said: bytes) -> None:
    await jetstream(client, "seed").publish(f"$KV.{WORKERS_BUCKET}.{name}", said)


@pytest.mark.parametrize("role", [OPERATOR, BACKEND, SUBSCRIBER])
def test_checkpoints_can_be_compared_by_who_may_read_them(lab: Lab, role: NatsRole) -> None:
    with stream_record(lab.login(role)) as record:
        assert "{}" in record.path.read_text()


def test_who_may_not_read_checkpoints_is_told(lab: Lab) -> None:
    refused = (NatsError, TimeoutError, OSError)
    with pytest.raises(refused), stream_record(lab.login(API)):
        pass
