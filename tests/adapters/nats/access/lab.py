"""One server, and who is on it: what the tests of NATS' roles share."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig

from adapters.nats.jetstream import (
    CHECKPOINTS,
    DOMAIN,
    EVENTS,
    JOBS,
    STREAM_NAMES,
    WORKERS_BUCKET,
    connect,
    ensure_job_consumer,
)
from adapters.nats.login import NatsLogin
from adapters.nats.roles import NatsRole
from adapters.servers.nats import EmbeddedNats
from tests.waiting import HANG_SECONDS

OPERATOR, BACKEND, API = NatsRole.OPERATOR, NatsRole.BACKEND, NatsRole.API
WORKER, SUBSCRIBER = NatsRole.WORKER, NatsRole.SUBSCRIBER
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


async def fill(client: Client) -> None:
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
        async with asyncio.timeout(HANG_SECONDS):
            while len(refused | answered) < len(requests):
                await asyncio.sleep(0.01)
    finally:
        await client.close()
    assert not refused & answered
    return answered
