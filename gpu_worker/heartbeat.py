"""Heartbeats of a worker, kept in the `workers` bucket with a TTL of 30 seconds."""

import asyncio
import logging
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from nats.errors import Error as NatsError
from nats.js import JetStreamContext

from adapters.nats.jetstream import WORKER_TTL_SECONDS, WORKERS_BUCKET
from adapters.settings import Settings
from domain.training.messages import WorkerPresence

log = logging.getLogger(__name__)


class Heartbeat:
    """Writes the worker's presence at every change, and three times per TTL."""

    def __init__(
        self, js: JetStreamContext, settings: Settings, trouble: Callable[[], str]
    ) -> None:
        self._js = js
        self._trouble = trouble
        self._key = settings.worker_name
        self._presence = WorkerPresence(
            settings.worker_name, _guess_device(settings.device), None, datetime.now(UTC)
        )
        self._changed = asyncio.Event()

    def working_on(self, version_id: str | None) -> None:
        self._presence = msgspec.structs.replace(
            self._presence, version_id=version_id, since=datetime.now(UTC)
        )
        self._changed.set()

    async def publish(self) -> None:
        """Publish until the task is cancelled."""
        while True:
            self._changed.clear()
            presence = msgspec.structs.replace(self._presence, trouble=self._trouble())
            try:
                bucket = await self._js.key_value(WORKERS_BUCKET)
                await bucket.put(self._key, msgspec.json.encode(presence))
            except (NatsError, TimeoutError, OSError) as error:
                log.warning("presence was not written: %s", error or type(error).__name__)
            try:
                await asyncio.wait_for(self._changed.wait(), WORKER_TTL_SECONDS / 3)
            except TimeoutError:
                continue

    async def withdraw(self) -> None:
        """Delete the heartbeat, so that this worker is not listed until the TTL ends."""
        try:
            bucket = await self._js.key_value(WORKERS_BUCKET)
            await bucket.delete(self._key)
        except (NatsError, TimeoutError, OSError) as error:
            log.warning("presence was not deleted: %s", error or type(error).__name__)


def _guess_device(setting: str) -> str:
    """The device, guessed without torch, which this process must not load."""
    if setting != "auto":
        return setting
    return "cuda" if Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi") else "cpu"
