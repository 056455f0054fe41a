"""The worker's connection to NATS: what is printed while NATS is away, and whether it refuses."""

import asyncio
import logging

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError

from stemma_trainer.settings import Settings

AWAY = (NatsError, TimeoutError, OSError)

_REFUSED = "authorization violation"
"""What nats-server says to somebody whose seed it does not know."""

log = logging.getLogger("stemma_trainer")


class Connection:
    """It tries for ever. `refused` is true, and `stop` is set, once NATS refuses the seed."""

    def __init__(self, settings: Settings, stop: asyncio.Event) -> None:
        self._settings, self._stop = settings, stop
        self._away = False
        self.refused = False

    async def open(self) -> Client:
        seed = self._settings.seed
        login = {"nkeys_seed_str": seed} if seed else {}
        client = await nats.connect(
            self._settings.nats_url,
            max_reconnect_attempts=-1,
            error_cb=self.failed,
            reconnected_cb=self.reached,
            **login,
        )
        await self.reached()
        return client

    async def failed(self, error: Exception) -> None:
        """An attempt to connect, or the connection, has failed."""
        why = str(error) or type(error).__name__
        if _REFUSED in why.lower():
            log.warning("NATS: %s", why)
            self.refused = True
            self._stop.set()
        elif not isinstance(error, OSError):  # a TimeoutError is one
            log.warning("NATS: %s", why)
        elif not self._away:  # once, not at every attempt
            self._away = True
            address = self._settings.nats_address
            log.warning("NATS cannot be reached at %s (%s); the worker keeps trying", address, why)

    async def reached(self) -> None:
        """NATS is there, perhaps again."""
        if self._away:
            self._away = False
            log.info("NATS is reached again at %s", self._settings.nats_address)
