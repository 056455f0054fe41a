"""What each role hears, and that no answer goes where its asker may not publish."""

import asyncio
import json

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from adapters.nats.jetstream import (
    CHECKPOINTS,
    CONTROL_STREAM,
    EVENTS,
    JOBS,
    REPORTS,
    WORKERS_BUCKET,
    WORKERS_STREAM,
    connect,
    end_tasks,
    jetstream,
    job_consumer,
)
from adapters.nats.login import inbox_of
from adapters.nats.roles import NatsRole
from domain.training.messages import TrainJob
from gpu_worker.desired_state import DesiredStateWatcher
from tests.adapters.nats.access.lab import (
    API,
    BACKEND,
    GUESTS,
    INSIDE,
    OPERATOR,
    SUBSCRIBER,
    TARGETS,
    WORKER,
    Lab,
    api,
    consumer,
)
from tests.adapters.nats.access.table import TABLE
from tests.domain.training.version_samples import CONCEPTS, OPTIONS
from tests.waiting import HANG_SECONDS


@pytest.mark.parametrize("role", NatsRole)
def test_a_role_hears_what_is_for_it_and_nothing_else(lab: Lab, role: NatsRole) -> None:
    keys = {user.role: user.key for user in lab.server.access.users()}
    inboxes = {of: f"{inbox_of(keys[of])}.one" for of in INSIDE}
    wishes = {"$KV.control.v1", "$KV.control.end"}
    passing = {subject for subject, _, _ in TABLE if subject.startswith("stemma.")}
    passing |= {*wishes, *inboxes.values(), "_INBOX.of.somebody", f"$KV.{WORKERS_BUCKET}.other"}
    listened_to = [">", "*.>", "stemma.>", "$KV.>", "$KV.control.*", "_INBOX.>", "$JS.>"]
    listened_to += [subject.replace(".one", ".>") for subject in inboxes.values()]
    may = {OPERATOR: passing, BACKEND: {inboxes[BACKEND]}, WORKER: wishes}.get(role, set())

    async def listen() -> set[str]:
        heard: set[str] = set()

        async def take(message: Msg) -> None:
            heard.add(message.subject)

        login = lab.login(role)
        listener = await nats.connect(login.url, error_cb=_unheeded, **login.options())
        for subject in listened_to:
            await listener.subscribe(subject, cb=take)
        await listener.flush()
        speaker = await connect(lab.login(OPERATOR), "speaker")
        for subject in passing:
            await speaker.publish(subject, b"{}")
        # An answer comes after what was sent before it, on either connection.
        await speaker.flush()
        await listener.flush()
        async with asyncio.timeout(HANG_SECONDS):
            while not may <= heard:
                await asyncio.sleep(0.01)
        await speaker.close()
        await listener.close()
        return heard & passing

    assert asyncio.run(listen()) == may


async def _unheeded(_: Exception) -> None:
    """What is refused is not heard, and that is what counts here."""


@pytest.mark.parametrize("role", GUESTS)
def test_no_answer_can_be_directed_to_where_the_asker_may_not_publish(
    lab: Lab, role: NatsRole
) -> None:
    asks = {
        API: [(api("STREAM.INFO", EVENTS), b"")],
        WORKER: [
            (api("STREAM.MSG.GET", CONTROL_STREAM), b'{"seq": 1}'),
            (api("CONSUMER.MSG.NEXT", JOBS, job_consumer("default")), b"1"),
        ],
        SUBSCRIBER: [
            (api("DIRECT.GET", EVENTS), b'{"seq": 1}'),
            (api("CONSUMER.MSG.NEXT", EVENTS, "mine"), b"1"),
        ],
    }
    before = lab.state()

    async def ask(client: Client) -> None:
        for subject, payload in asks[role]:
            for target in TARGETS:
                await client.publish(subject, payload, reply=target)
        # What was asked before is answered before.
        await jetstream(client, "seed").stream_info(EVENTS if role != WORKER else WORKERS_STREAM)

    lab.run(role, ask)
    assert lab.state() == before
    lab.run(OPERATOR, lambda client: client.jetstream().consumer_info(EVENTS, "other"))

    async def ask_from_inside(client: Client) -> None:
        await client.publish(f"$JS.API.STREAM.INFO.{EVENTS}", b"", reply="stemma.reports.other.v1")
        async with asyncio.timeout(HANG_SECONDS):
            while (await client.jetstream().stream_info(REPORTS)).state.messages == before[REPORTS][
                0
            ]:
                await asyncio.sleep(0.01)

    lab.run(OPERATOR, ask_from_inside)  # permissions alone would not keep anyone from it


def test_no_consumer_of_a_subscriber_delivers_to_where_it_may_not_publish(lab: Lab) -> None:
    before = lab.state()

    async def push(client: Client) -> None:
        listening = await connect(lab.login(WORKER), "worker")
        job = TrainJob("v1", 1, "classification", CONCEPTS, OPTIONS, "manifest", "correlation")
        wishes = DesiredStateWatcher(listening, jetstream(listening, "seed"), job).follow()
        wish = asyncio.ensure_future(anext(wishes))
        await asyncio.sleep(0)  # it has begun to listen
        await listening.flush()
        for stream in (EVENTS, CHECKPOINTS):
            for target in TARGETS:
                await client.request(api("CONSUMER.DELETE", stream, "mine"), b"")
                asked_for = consumer(stream, "mine", ack_policy="none", deliver_subject=target)
                subject = api("CONSUMER.DURABLE.CREATE", stream, "mine")
                told = json.loads((await client.request(subject, asked_for)).data)
                if "error" not in told:
                    await client.flush()
                    asked_now = await client.request(api("CONSUMER.INFO", stream, "mine"), b"")
                    info = json.loads(asked_now.data)
                    assert info["delivered"]["stream_seq"] == 0, (stream, target)
        await end_tasks(wish)
        await listening.close()

    try:
        lab.run(SUBSCRIBER, push)
        assert lab.state() == before
    finally:
        lab.run(SUBSCRIBER, _new_consumers)


async def _new_consumers(client: Client) -> None:
    for stream in (EVENTS, CHECKPOINTS):
        await client.request(api("CONSUMER.DELETE", stream, "mine"), b"")
        await client.request(
            api("CONSUMER.DURABLE.CREATE", stream, "mine"), consumer(stream, "mine")
        )
