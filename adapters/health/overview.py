"""One look at everything that serves depend on, each within a time limit, shared by all who ask."""

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
from adapters.health.standing import (
    DatabaseStandings,
    Movement,
    Standing,
    from_database,
    from_streams,
)
from adapters.postgres.postgres import passing_engine
from adapters.subscriptions.webhooks.positions import Standing as Served
from adapters.subscriptions.webhooks.positions import standings as served
from adapters.training.crew import Crew, Lookout, QueueUnreachable, crew_of
from application.log.store import Store
from application.webhooks import Endpoints

PATIENCE_SECONDS = 2.0
FRESH_SECONDS = 1.0
"""Health is asked for by anyone, so one look answers all who ask within a second."""

Result = TypeVar("Result")


class Look(msgspec.Struct, frozen=True):
    """What was found; None where nothing answered in time.

    `still` is for how many seconds at least a part has stood still with work to do.
    """

    database: DatabaseStandings | None
    streams: list[Standing] | None
    crew: Crew | None
    blobs: bool
    still: dict[str, float]
    webhooks: list[Served] | None = None

    @property
    def standings(self) -> list[Standing]:
        """How far all are of whom it is known."""
        if self.database is None:
            return []
        return [*self.database.read_models, *self.database.parts, *(self.streams or [])]


class Overview:
    """Looks when asked. Its threads are its own: what hangs takes none from the handlers."""

    def __init__(self, database_url: str, lookout: Lookout, blobs: BlobStore, store: Store) -> None:
        self._engine = passing_engine(database_url, PATIENCE_SECONDS)
        self._endpoints = Endpoints(store)
        self._lookout, self._blobs = lookout, blobs
        self._movement = Movement()
        self._threads = {
            name: ThreadPoolExecutor(1, thread_name_prefix=f"look at {name}")
            for name in ("database", "blobs", "webhooks")
        }
        self._looking = asyncio.Lock()
        self._last: Look | None = None
        self._looked_at = 0.0

    def close(self) -> None:
        for threads in self._threads.values():
            threads.shutdown(wait=False, cancel_futures=True)

    async def look(self) -> Look:
        """How things are, as of a second ago at most."""
        async with self._looking:
            if self._last is None or time.monotonic() - self._looked_at > FRESH_SECONDS:
                self._last = await self._look()
                self._looked_at = time.monotonic()
            return self._last

    async def _look(self) -> Look:
        database, blobs, webhooks = await asyncio.gather(
            self._within("database", self._ask_database),
            self._within("blobs", self._ask_blobs),
            # By connections of the handlers: where these have none to spare, it is left out.
            self._within("webhooks", self._ask_webhooks),
        )
        streams, crew = await self._ask_nats(database)
        found = Look(database, streams, crew, blobs is not None, {}, webhooks)
        now = time.monotonic()
        still = {one.part: self._movement.still_for(one, now) for one in found.standings}
        return msgspec.structs.replace(found, still=still)

    async def _within(self, name: str, ask: Callable[[], Result]) -> Result | None:
        """The answer, or None where it takes too long: the thread may be stuck, others are not."""
        loop = asyncio.get_running_loop()
        try:
            asked = loop.run_in_executor(self._threads[name], ask)
            return await asyncio.wait_for(asked, PATIENCE_SECONDS)
        except (TimeoutError, SQLAlchemyError, PersistenceError, OSError):
            return None

    def _ask_database(self) -> DatabaseStandings:
        with self._engine.connect() as connection:
            connection.execution_options(isolation_level="REPEATABLE READ")
            return from_database(connection)

    def _ask_webhooks(self) -> list[Served]:
        endpoints, head = self._endpoints.now()
        with self._engine.connect() as connection:
            return served(connection, endpoints, head)

    def _ask_blobs(self) -> bool:
        self._blobs.check()
        return True

    async def _ask_nats(
        self, known: DatabaseStandings | None
    ) -> tuple[list[Standing] | None, Crew | None]:
        async def ask(js: JetStreamContext) -> tuple[list[Standing] | None, Crew]:
            return None if known is None else await from_streams(js, known), await crew_of(js)

        try:
            return await self._lookout.ask(ask, PATIENCE_SECONDS)
        except QueueUnreachable:
            return None, None
