"""Checks of the servers that a process works with, with a time limit."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import httpx
from nats.js import JetStreamContext

from adapters.blobs.blobs import BlobStore
from adapters.health.health import HEALTHY, PartHealth
from adapters.settings import Settings, SettingsError
from adapters.training.worker_pool import QueueMonitor, QueueUnreachable

PATIENCE_SECONDS = 2.0

_NATS_AWAY = PartHealth("failed", "NATS does not answer")
_API_AWAY = PartHealth("failed", "the API does not answer")
_BLOBS_AWAY = PartHealth("failed", "the store does not answer")


class OwnServers:
    """Checks each server through a connection or thread of its own: none blocks another."""

    def __init__(self, settings: Settings, name: str) -> None:
        self._settings = settings
        self._name = name
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="check blobs")

    def nats(self) -> PartHealth:
        return asyncio.run(self._nats())

    def api(self) -> PartHealth:
        """Whether the API answers, whatever the health of its own servers."""
        # Only workers check it: the other processes need not load the client.
        from stemma_client.connections import authorities
        from stemma_client.proxies import uses_proxy

        url = self._settings.api_url or ""
        try:
            answer = httpx.get(
                f"{url}/health/live",
                timeout=PATIENCE_SECONDS,
                trust_env=uses_proxy(url),
                verify=authorities(url),
            )
        except (httpx.HTTPError, httpx.InvalidURL):
            return _API_AWAY
        return HEALTHY if answer.is_success else _API_AWAY

    def blobs(self) -> PartHealth:
        check = self._thread.submit(self._check_blobs)
        try:
            check.result(PATIENCE_SECONDS)
        except (OSError, SettingsError):
            check.cancel()
            return _BLOBS_AWAY
        return HEALTHY

    def _check_blobs(self) -> None:
        BlobStore.from_url(self._settings.require("blobs_url")).check()

    async def _nats(self) -> PartHealth:
        queue_monitor = QueueMonitor(self._settings, self._name)
        try:
            await queue_monitor.query(_no_query, PATIENCE_SECONDS)
        except (QueueUnreachable, SettingsError):
            return _NATS_AWAY
        finally:
            await queue_monitor.close()
        return HEALTHY


async def _no_query(_: JetStreamContext) -> None:
    """A successful login is enough."""
