"""Snapshots of every part and server that serving depends on, with a time limit for each check."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec
from eventsourcing.persistence import PersistenceError
from nats.js import JetStreamContext
from sqlalchemy.exc import SQLAlchemyError

from adapters.blobs.blobs import BlobStore
from adapters.health.consumer_lag import (
    ConsumerLag,
    DatabaseStatus,
    StallDetector,
    read_database_status,
    read_stream_lags,
)
from adapters.postgres.postgres import passing_engine
from adapters.subscriptions.webhooks.positions import WebhookLag, webhook_lags
from adapters.training.worker_pool import (
    QueueMonitor,
    QueueUnreachable,
    WorkerPool,
    read_worker_pool,
)
from application.log.store import Store
from application.webhooks import Endpoints

PATIENCE_SECONDS = 2.0
FRESH_SECONDS = 1.0
"""Health is public: all requests within this time share one snapshot."""

Result = TypeVar("Result")


class Snapshot(msgspec.Struct, frozen=True):
    """The state of all parts and servers; None where nothing answered in time.

    `stalled` holds, by part, for how many seconds at least it has not moved with work to do.
    """

    database: DatabaseStatus | None
    streams: list[ConsumerLag] | None
    pool: WorkerPool | None
    blobs: bool
    stalled: dict[str, float]
    webhooks: list[WebhookLag] | None = None

    @property
    def lags(self) -> list[ConsumerLag]:
        """The lag of every part whose position is known."""
        if self.database is None:
            return []
        return [*self.database.read_models, *self.database.parts, *(self.streams or [])]


class Overview:
    """Takes snapshots on request. It has its own threads: a check that hangs takes none from the
    handlers."""

    def __init__(
        self, database_url: str, queue_monitor: QueueMonitor, blobs: BlobStore, store: Store
    ) -> None:
        self._engine = passing_engine(database_url, PATIENCE_SECONDS)
        self._endpoints = Endpoints(store)
        self._queue_monitor, self._blobs = queue_monitor, blobs
        self._stalls = StallDetector()
        self._threads = {
            name: ThreadPoolExecutor(1, thread_name_prefix=f"check {name}")
            for name in ("database", "blobs", "webhooks")
        }
        self._lock = asyncio.Lock()
        self._last: Snapshot | None = None
        self._taken_at = 0.0

    def close(self) -> None:
        for threads in self._threads.values():
            threads.shutdown(wait=False, cancel_futures=True)

    async def snapshot(self) -> Snapshot:
        """The state of the system, at most a second old."""
        async with self._lock:
            if self._last is None or time.monotonic() - self._taken_at > FRESH_SECONDS:
                self._last = await self._take()
                self._taken_at = time.monotonic()
            return self._last

    async def _take(self) -> Snapshot:
        database, blobs, webhooks = await asyncio.gather(
            self._within("database", self._check_database),
            self._within("blobs", self._check_blobs),
            # Uses connections of the handlers; None while none is free.
            self._within("webhooks", self._check_webhooks),
        )
        streams, pool = await self._check_nats(database)
        snapshot = Snapshot(database, streams, pool, blobs is not None, {}, webhooks)
        now = time.monotonic()
        stalled = {lag.part: self._stalls.stalled_for(lag, now) for lag in snapshot.lags}
        return msgspec.structs.replace(snapshot, stalled=stalled)

    async def _within(self, name: str, check: Callable[[], Result]) -> Result | None:
        """The result, or None after the time limit: only this thread may be stuck."""
        loop = asyncio.get_running_loop()
        try:
            result = loop.run_in_executor(self._threads[name], check)
            return await asyncio.wait_for(result, PATIENCE_SECONDS)
        except (TimeoutError, SQLAlchemyError, PersistenceError, OSError):
            return None

    def _check_database(self) -> DatabaseStatus:
        with self._engine.connect() as connection:
            connection.execution_options(isolation_level="REPEATABLE READ")
            return read_database_status(connection)

    def _check_webhooks(self) -> list[WebhookLag]:
        endpoints, head = self._endpoints.now()
        with self._engine.connect() as connection:
            return webhook_lags(connection, endpoints, head)

    def _check_blobs(self) -> bool:
        self._blobs.check()
        return True

    async def _check_nats(
        self, database: DatabaseStatus | None
    ) -> tuple[list[ConsumerLag] | None, WorkerPool | None]:
        async def read(js: JetStreamContext) -> tuple[list[ConsumerLag] | None, WorkerPool]:
            lags = None if database is None else await read_stream_lags(js, database)
            return lags, await read_worker_pool(js)

        try:
            return await self._queue_monitor.query(read, PATIENCE_SECONDS)
        except QueueUnreachable:
            return None, None
