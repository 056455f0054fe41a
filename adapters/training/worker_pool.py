"""The worker pool and its job queue, read from NATS through a connection made on demand."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import KeyNotFoundError, NotFoundError

from adapters.nats.jetstream import JOBS, WORKERS_BUCKET, WORKERS_STREAM, jetstream, job_consumer
from adapters.nats.login import nats_login
from adapters.settings import Settings
from domain.training.messages import WorkerPresence

PATIENCE_SECONDS = 3.0
FRESH_SECONDS = 1.0
"""Many follow a version that is queued: one look answers all who ask within a second."""

Result = TypeVar("Result")
log = logging.getLogger(__name__)


class QueueUnreachable(Exception):
    """NATS does not answer, or its URL is not set for this process."""


class WorkerPool(msgspec.Struct, frozen=True):
    """The live workers, by name, and how many jobs wait or are in progress.

    `by_queue` counts, for each queue, the workers that ask for a job or have one.
    """

    workers: list[WorkerPresence]
    waiting: int
    in_work: int
    by_queue: dict[str, int] = {}


class QueueMonitor:
    """Queries NATS. It connects at the first query, and again after a lost connection."""

    def __init__(self, settings: Settings, name: str = "stemma api") -> None:
        self._settings = settings
        self._name = name
        self._client: Client | None = None
        self._connecting = asyncio.Lock()
        self._looking = asyncio.Lock()
        self._pool: WorkerPool | None = None
        self._looked_at = -FRESH_SECONDS

    async def worker_pool(self) -> WorkerPool:
        """Raises `QueueUnreachable`."""
        return await self.query(read_worker_pool)

    async def online(self, queue: str | None = None) -> int | None:
        """How many workers are online, or those of a trainer's queue, as of a second ago at most;
        None if NATS does not answer."""
        async with self._looking:
            if time.monotonic() - self._looked_at >= FRESH_SECONDS:
                try:
                    self._pool = await self.worker_pool()
                except QueueUnreachable:
                    self._pool = None
                self._looked_at = time.monotonic()
            if self._pool is None:
                return None
            return len(self._pool.workers) if queue is None else self._pool.by_queue.get(queue, 0)

    async def query(
        self,
        read: Callable[[JetStreamContext], Awaitable[Result]],
        patience: float = PATIENCE_SECONDS,
    ) -> Result:
        """The result of `read`, within `patience` seconds. Raises `QueueUnreachable`."""
        try:
            async with asyncio.timeout(patience):
                js = jetstream(await self._connected(), self._settings.nats_seed)
                return await read(js)
        except (NatsError, TimeoutError, OSError) as error:
            raise QueueUnreachable(
                "NATS does not answer, so it is unknown which workers are online; trainings"
                " continue once NATS is back"
            ) from error

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def _connected(self) -> Client:
        if self._settings.nats_url is None:
            raise QueueUnreachable("STEMMA_NATS_URL is not set for the API, so it sees no workers")
        async with self._connecting:
            if self._client is None or not self._client.is_connected:
                login = nats_login(self._settings)
                self._client = await nats.connect(
                    login.url,
                    name=self._name,
                    error_cb=_ignore,
                    allow_reconnect=False,
                    connect_timeout=2,
                    **login.options(),
                )
        return self._client


async def read_worker_pool(js: JetStreamContext) -> WorkerPool:
    """The pool; empty before the streams exist."""
    try:
        jobs = (await js.stream_info(JOBS)).state.messages
        consumers = await js.consumers_info(JOBS)
        workers = await _workers(js)
    except NotFoundError:
        return WorkerPool([], 0, 0)
    # A job leaves the stream when it is done: a job that no worker holds is waiting.
    in_work = sum(consumer.num_ack_pending or 0 for consumer in consumers)
    by_queue = {
        consumer.name.removeprefix(job_consumer("")): (consumer.num_waiting or 0)
        + (consumer.num_ack_pending or 0)
        for consumer in consumers
    }
    return WorkerPool(workers, max(jobs - in_work, 0), in_work, by_queue)


async def _workers(js: JetStreamContext) -> list[WorkerPresence]:
    bucket = await js.key_value(WORKERS_BUCKET)
    info = await js.stream_info(WORKERS_STREAM, subjects_filter=f"$KV.{WORKERS_BUCKET}.>")
    presences = []
    for subject in info.state.subjects or {}:
        name = subject.removeprefix(f"$KV.{WORKERS_BUCKET}.")
        try:
            entry = await bucket.get(name)
        except KeyNotFoundError:
            continue  # the worker has left
        if presence := _presence_of(name, entry.value or b""):
            presences.append(presence)
    return sorted(presences, key=lambda presence: presence.worker)


def _presence_of(name: str, value: bytes) -> WorkerPresence | None:
    """The presence, or None where a worker wrote another value: the others are still listed."""
    try:
        presence = msgspec.json.decode(value, type=WorkerPresence)
    except msgspec.DecodeError as error:
        log.warning("the presence of worker %s cannot be decoded: %s", name, error)
        return None
    if presence.worker != name:
        log.warning("worker %s published the presence of another worker", name)
        return None
    return presence


async def _ignore(_: Exception) -> None:
    """The query raises the error."""
