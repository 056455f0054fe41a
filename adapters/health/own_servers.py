"""Whether the servers that a process works with answer, within a time limit."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from nats.js import JetStreamContext

from adapters.blobs.blobs import BlobStore
from adapters.health.conditions import WELL, PartHealth
from adapters.settings import Settings, SettingsError
from adapters.training.crew import Lookout, QueueUnreachable

PATIENCE_SECONDS = 2.0

_NATS_AWAY = PartHealth("failed", "NATS does not answer")
_BLOBS_AWAY = PartHealth("failed", "the store does not answer")


class OwnServers:
    """Asks each through a connection or a thread of its own, so that what hangs stops nothing."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._settings = settings
        self._name = name
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="look at blobs")

    def nats(self) -> PartHealth:
        return asyncio.run(self._nats())

    def blobs(self) -> PartHealth:
        asked = self._thread.submit(self._ask_blobs)
        try:
            asked.result(PATIENCE_SECONDS)
        except (OSError, SettingsError):
            asked.cancel()
            return _BLOBS_AWAY
        return WELL

    def _ask_blobs(self) -> None:
        BlobStore.from_url(self._settings.require("blobs_url")).check()

    async def _nats(self) -> PartHealth:
        lookout = Lookout(self._settings, self._name)
        try:
            await lookout.ask(_nothing, PATIENCE_SECONDS)
        except (QueueUnreachable, SettingsError):
            return _NATS_AWAY
        finally:
            await lookout.close()
        return WELL


async def _nothing(_: JetStreamContext) -> None:
    """That it lets this process in says enough."""
