"""Relay, NATS and PostgreSQL are killed under load: who follows the stream gets each event once."""

import asyncio
import itertools
import logging
import multiprocessing
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import nats
import pytest
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from adapters.nats.jetstream import EVENTS, connect
from adapters.parts import run_parts
from adapters.servers.embedded import EmbeddedServer
from adapters.servers.nats import EmbeddedNats
from adapters.servers.postgres import EmbeddedPostgres
from adapters.services import SERVICES
from adapters.settings import Settings
from application.log.store import AppendRefused, LogUnreachable, Store
from domain.dataset.project import ProjectRenamed
from tests.adapters.running import eventually, kill, messages, settings_for, with_js
from tests.application.scenes import recorded
from tests.servers import Database
from tests.waiting import HANG_SECONDS

KILLS = 20
WRITERS = 3
BACKLOG = 4000
LONGEST_PAUSE = 0.8

FORKSERVER = multiprocessing.get_context("forkserver")
"""A relay starts at once, as a process of its own, from one that has imported it already."""
FORKSERVER.set_forkserver_preload(["adapters.parts", SERVICES["relay"].run.partition(":")[0]])


def relay_process(settings: Settings) -> None:
    logging.disable(logging.CRITICAL)
    run_parts(["relay"], settings, threading.Event())


class RelayProcess:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.start()

    def start(self) -> None:
        self._process = FORKSERVER.Process(
            target=relay_process, args=(self._settings,), daemon=True
        )
        self._process.start()

    def kill(self) -> None:
        self._process.kill()
        self._process.join()


class Follower:
    """Keeps its own position, and begins there again whatever happens, as the docs tell it to."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.handed = 0
        self.begun = 0
        self.seen: list[str] = []

    async def _run(self) -> None:
        client = await connect(self._url, "follower")
        while not self._stop.is_set():
            try:
                await self._follow(client.jetstream())
            except (NatsError, OSError):
                await asyncio.sleep(0.1)
        await client.close()

    async def _follow(self, js: JetStreamContext) -> None:
        self.begun += 1
        config = ConsumerConfig(
            ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=len(self.seen) + 1,
        )
        subscription = await js.pull_subscribe("stemma.events.>", stream=EVENTS, config=config)
        while not self._stop.is_set():
            try:
                batch = await subscription.fetch(200, timeout=1)
            except nats.errors.TimeoutError:
                continue
            for message in batch:
                headers = message.headers or {}
                position = int(headers["ce-sequence"])
                self.handed += 1
                if position > len(self.seen) + 1:
                    return  # one was lost on its way here: begin again where we are
                if position == len(self.seen) + 1:
                    self.seen.append(headers["ce-id"])

    def __enter__(self) -> "Follower":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(HANG_SECONDS)
        assert not self._thread.is_alive()


@contextmanager
def writing(store: Store, choose: random.Random) -> Iterator[None]:
    """Streams that grow without a pause, a few events or a few dozen at a time."""
    stop = threading.Event()
    seeds = [choose.random() for _ in range(WRITERS)]
    writers = [
        threading.Thread(target=_write, args=(store, f"project-{n}", random.Random(seed), stop))
        for n, seed in enumerate(seeds)
    ]
    for writer in writers:
        writer.start()
    try:
        yield
    finally:
        stop.set()
        for writer in writers:
            writer.join()


def _write(store: Store, stream: str, choose: random.Random, stop: threading.Event) -> None:
    revision = 0
    while not stop.is_set():
        names = range(revision + 1, revision + 1 + choose.choice([1, 2, 5, 40]))
        events = [recorded(stream, n, ProjectRenamed(f"name {n}")) for n in names]
        try:
            store.append(events)
            revision = names[-1]
        except AppendRefused:
            revision = len(store.streams([stream])[stream])
        except LogUnreachable:
            stop.wait(0.05)
        stop.wait(choose.uniform(0, 0.05))


@pytest.fixture
def database(private_postgres: EmbeddedPostgres) -> Database:
    """The private server's own database: it is the server that is killed."""
    return Database("stemma", private_postgres.admin_url, private_postgres.app_url)


def test_each_event_is_seen_once_whatever_is_killed(
    database: Database, private_postgres: EmbeddedPostgres, private_nats: EmbeddedNats
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    choose = random.Random(seed)
    store = Store(database.app_url, pool_size=WRITERS + 1)
    store.append(
        [recorded("project-old", n, ProjectRenamed(f"name {n}")) for n in range(1, BACKLOG + 1)]
    )
    relay = RelayProcess(settings_for(database, private_nats.url))

    def restarted(server: EmbeddedServer) -> Callable[[], None]:
        def restart() -> None:
            kill(server)
            server.start()

        return restart

    def restart_relay() -> None:
        relay.kill()
        relay.start()

    kills = [restart_relay, restarted(private_nats), restarted(private_postgres)]
    order = itertools.chain(kills, (choose.choice(kills) for _ in range(KILLS - len(kills))))
    with Follower(private_nats.url) as follower:
        with writing(store, choose):
            for victim in order:
                time.sleep(choose.uniform(0, LONGEST_PAUSE))
                victim()
        log = [one.metadata.event_id for one in store.read_all()]
        eventually(lambda: len(follower.seen) >= len(log))
    relay.kill()
    assert follower.seen == log
    found = with_js(private_nats.url, lambda js: messages(js, EVENTS))
    assert [(one.headers or {})["ce-id"] for one in found] == log
    assert [one.metadata.sequence.stream for one in found] == list(range(1, len(log) + 1))
    print(f"{len(log)} events, {follower.handed} handed over, {follower.begun} beginnings")
    store.close()
