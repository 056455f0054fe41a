"""What each role may do on NATS, tried for real on one server: every cell, allowed or refused."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError
from nats.js.api import ConsumerConfig

from adapters.crew import crew_of
from adapters.embedded_nats import EmbeddedNats
from adapters.jetstream import (
    CHECKPOINTS,
    CONTROL_STREAM,
    DOMAIN,
    EVENTS,
    JOBS,
    REPORTS,
    STREAM_NAMES,
    WORKERS_BUCKET,
    WORKERS_STREAM,
    connect,
    end_tasks,
    ensure_job_consumer,
    jetstream,
    job_consumer,
    make_streams,
)
from adapters.nats_login import NatsLogin, inbox_of
from adapters.nats_roles import NatsRole
from domain.messages import TrainJob
from gpu_worker.wishes import Wishes
from tests.domain.version_samples import CONCEPTS, OPTIONS
from tests.servers import server_folder

OPERATOR, BACKEND, API = NatsRole.OPERATOR, NatsRole.BACKEND, NatsRole.API
WORKER, SUBSCRIBER = NatsRole.WORKER, NatsRole.SUBSCRIBER
ALL = frozenset(NatsRole)
INSIDE = frozenset({OPERATOR, BACKEND})
NAMES = {OPERATOR: "", BACKEND: "", API: "", WORKER: "mine", SUBSCRIBER: "mine"}
GUESTS = (API, WORKER, SUBSCRIBER)
EVENT, JOB = "stemma.events.view.created.v1", "stemma.jobs.train.default"

Result = TypeVar("Result")


class Lab:
    """The server, and who is on it."""

    def __init__(self, server: EmbeddedNats) -> None:
        self.server = server

    def login(self, role: NatsRole, name: str = "") -> NatsLogin:
        return NatsLogin(
            self.server.address, str(self.server.access.seed_file(role, name or NAMES[role]))
        )

    def run(
        self, role: NatsRole, use: Callable[[Client], Awaitable[Result]], name: str = ""
    ) -> Result:
        async def used() -> Result:
            client = await connect(self.login(role, name), "test")
            try:
                return await use(client)
            finally:
                await client.close()

        return asyncio.run(used())

    def state(self) -> dict[str, tuple[int, int]]:
        """How many messages each stream has, and the number of its last."""

        async def ask(client: Client) -> dict[str, tuple[int, int]]:
            js = client.jetstream()
            states = {one: (await js.stream_info(one)).state for one in STREAM_NAMES}
            return {name: (state.messages, state.last_seq) for name, state in states.items()}

        return self.run(OPERATOR, ask)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A server with two workers and two subscribers, and something in each stream."""
    with server_folder() as folder:
        server = EmbeddedNats(folder)
        for role in (WORKER, SUBSCRIBER):
            for name in ("mine", "other"):
                server.access.add(role, name)
        with server:
            made = Lab(server)
            asyncio.run(make_streams(made.login(OPERATOR)))
            made.run(OPERATOR, _fill)
            yield made


async def _fill(client: Client) -> None:
    js = client.jetstream()
    await ensure_job_consumer(js, "default", 60)
    subjects = [EVENT, EVENT, JOB, "stemma.reports.other.v1", "stemma.checkpoints"]
    for subject in [*subjects, "$KV.control.v1", f"$KV.{WORKERS_BUCKET}.other"]:
        await js.publish(subject, b"{}")
    for name in ("mine", "other"):
        config = ConsumerConfig(durable_name=name)
        for stream in (EVENTS, CHECKPOINTS):
            await js.add_consumer(stream, config)


def api(verb: str, *names: str) -> str:
    return ".".join((f"$JS.{DOMAIN}.API", verb, *names))


def consumer(stream: str, name: str, **more: Any) -> bytes:
    config = {"durable_name": name, "name": name, "ack_policy": "explicit"} | more
    return json.dumps({"stream_name": stream, "config": config}).encode()


def stream_config(name: str, subjects: list[str]) -> bytes:
    return json.dumps({"name": name, "subjects": subjects}).encode()


def _table() -> Iterator[tuple[str, bytes, frozenset[NatsRole]]]:
    """A request, its payload, and who is answered by what it asks for.

    What would change the scene is asked so that even who may is told that it is nonsense.
    """
    yield EVENT, b"{}", INSIDE
    yield JOB, b"{}", INSIDE
    yield "stemma.checkpoints", b"", INSIDE
    yield "$KV.control.v1", b"{}", INSIDE
    yield "stemma.reports.mine.v1", b"{}", frozenset({OPERATOR, WORKER})
    yield "stemma.reports.other.v1", b"{}", frozenset({OPERATOR})
    yield "stemma.reports.v1", b"{}", frozenset({OPERATOR})
    yield f"$KV.{WORKERS_BUCKET}.mine", b"{}", frozenset({OPERATOR, WORKER})
    yield f"$KV.{WORKERS_BUCKET}.other", b"{}", frozenset({OPERATOR})
    for stream in STREAM_NAMES:
        may = INSIDE | {API}
        may |= {SUBSCRIBER} if stream in {EVENTS, CHECKPOINTS} else set()
        may |= {WORKER} if stream == WORKERS_STREAM else set()
        yield api("STREAM.INFO", stream), b"", may
        for verb in ("STREAM.DELETE", "STREAM.PURGE", "STREAM.MSG.DELETE", "STREAM.SNAPSHOT"):
            yield api(verb, stream), b"?", frozenset({OPERATOR})
        yield api("STREAM.UPDATE", stream), b"?", frozenset({OPERATOR})
        yield api("STREAM.CREATE", stream), b"?", INSIDE
        may = INSIDE
        may |= {API} if stream in {EVENTS, WORKERS_STREAM} else set()
        may |= {SUBSCRIBER} if stream in {EVENTS, CHECKPOINTS} else set()
        may |= {WORKER} if stream == CONTROL_STREAM else set()
        yield api("STREAM.MSG.GET", stream), b'{"seq": 1}', may
        yield api("CONSUMER.LIST", stream), b"", INSIDE | ({API} if stream == JOBS else set())
    for stream in (EVENTS, CHECKPOINTS):
        yield api("DIRECT.GET", stream), b'{"seq": 1}', INSIDE | {SUBSCRIBER}
        for name, own in (("mine", {OPERATOR, SUBSCRIBER}), ("other", {OPERATOR})):
            may = frozenset(own)
            for verb in ("CONSUMER.DURABLE.CREATE", "CONSUMER.CREATE"):
                yield api(verb, stream, name), consumer(stream, name), may
            yield api("CONSUMER.INFO", stream, name), b"", may | {BACKEND}
            yield api("CONSUMER.MSG.NEXT", stream, name), b'{"no_wait": true}', may
            yield api("CONSUMER.DELETE", stream, name), b"?", may
    queue = job_consumer("default")
    yield api("CONSUMER.INFO", JOBS, queue), b"", INSIDE | {WORKER}
    yield api("CONSUMER.MSG.NEXT", JOBS, queue), b'{"no_wait": true}', frozenset({OPERATOR, WORKER})
    yield api("CONSUMER.MSG.NEXT", JOBS, job_consumer("more")), b"?", frozenset()
    for name in (queue, "mine"):
        yield api("CONSUMER.DURABLE.CREATE", JOBS, name), b"?", INSIDE
        yield api("CONSUMER.DELETE", JOBS, name), b"?", INSIDE
    yield api("CONSUMER.CREATE", REPORTS), b"?", INSIDE
    yield api("CONSUMER.CREATE", CONTROL_STREAM, "mine"), b"?", frozenset({OPERATOR})
    yield api("STREAM.CREATE", "MINE"), stream_config("MINE", ["mine"]), frozenset({OPERATOR})
    yield api("STREAM.LIST"), b"", frozenset({OPERATOR})


TABLE = list(_table())


async def asked(login: NatsLogin, requests: list[tuple[str, bytes]]) -> set[str]:
    """Ask all at once; the subjects that somebody answered on. The others were refused, each."""
    refused: set[str] = set()
    answered: set[str] = set()
    cases = {subject.lower(): subject for subject, _ in requests}

    async def note(error: Exception) -> None:
        if violation := re.search(r'permissions violation for publish to "(.+)"', str(error), re.I):
            refused.add(cases[violation[1].lower()])

    async def take(subject: str, message: Msg) -> None:
        nobody = (message.headers or {}).get("Status") == "503"
        (refused if nobody else answered).add(subject)

    client = await nats.connect(login.url, error_cb=note, **login.options())
    try:
        for subject, payload in requests:
            inbox = client.new_inbox()
            await client.subscribe(inbox, cb=partial(take, subject))
            await client.publish(subject, payload, reply=inbox)
        async with asyncio.timeout(10):
            while len(refused | answered) < len(requests):
                await asyncio.sleep(0.01)
    finally:
        await client.close()
    assert not refused & answered
    return answered


@pytest.mark.parametrize("role", NatsRole)
def test_a_role_is_answered_by_what_it_may_ask_and_by_nothing_else(
    lab: Lab, role: NatsRole
) -> None:
    here = api("") if role in GUESTS else "$JS.API."
    requests = [(subject.replace(api(""), here), payload) for subject, payload, _ in TABLE]
    answered = asyncio.run(asked(lab.login(role), requests))
    may = {subject for subject, _, who in TABLE if role in who}
    assert {subject.replace(here, api("")) for subject in answered} == may


@pytest.mark.parametrize("role", GUESTS)
def test_a_guest_does_not_get_around_that_by_the_api_that_others_use(
    lab: Lab, role: NatsRole
) -> None:
    """In an account of its own, `$JS.API` is that of a JetStream that is not there."""

    async def ask(client: Client) -> None:
        for subject in {one for one, _, _ in TABLE if one.startswith(f"$JS.{DOMAIN}.API.")}:
            with suppress(NoRespondersError):
                reply = await client.request(subject.replace(f".{DOMAIN}.", "."), b"", timeout=5)
                assert b"JetStream not enabled for account" in reply.data, subject

    lab.run(role, ask)


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
        async with asyncio.timeout(10):
            while not may <= heard:
                await asyncio.sleep(0.01)
        await speaker.close()
        await listener.close()
        return heard & passing

    assert asyncio.run(listen()) == may


async def _unheeded(_: Exception) -> None:
    """What is refused is not heard, and that is what counts here."""


TARGETS = (
    EVENT,
    JOB,
    "stemma.checkpoints",
    "stemma.reports.other.v1",
    "$KV.control.v1",
    f"$KV.{WORKERS_BUCKET}.other",
    f"$JS.API.STREAM.PURGE.{JOBS}",
    f"$JS.API.STREAM.DELETE.{JOBS}",
    f"$JS.API.CONSUMER.DELETE.{EVENTS}.other",
)
"""Where something would happen if NATS could be made to send anything there."""


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
        async with asyncio.timeout(10):
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
        wishes = Wishes(listening, jetstream(listening, "seed"), job).follow()
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
            (message,) = await subscription.fetch(1, timeout=5)
            seen.append(message.metadata.sequence.stream)
            await message.ack_sync()
            await subscription.unsubscribe()
        return seen

    assert lab.run(SUBSCRIBER, follow) == [1, 2]


def test_the_api_sees_who_works(lab: Lab) -> None:
    presence = b'{"worker":"other","device":"cpu","version_id":null,"since":"2026-01-01T00:00:00Z"}'

    async def put(client: Client) -> None:
        js = client.jetstream()
        await js.purge_stream(WORKERS_STREAM)
        await js.publish(f"$KV.{WORKERS_BUCKET}.other", presence)
        await js.publish(f"$KV.{WORKERS_BUCKET}.gone", b"", headers={"KV-Operation": "DEL"})

    lab.run(OPERATOR, put)
    crew = lab.run(API, lambda client: crew_of(jetstream(client, "seed")))
    assert [one.worker for one in crew.workers] == ["other"]
