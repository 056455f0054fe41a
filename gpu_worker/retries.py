"""What a worker tries again until it succeeds: bounded, and visible to health and metrics."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from nats.aio.client import Client
from nats.errors import Error as NatsError

LIMIT_SECONDS = 900.0
"""After so long the job is handed back: it, and its GPU, wait for nobody."""

VISIBLE_SECONDS = 5.0
"""What has failed for less long is no trouble yet: a server that restarts takes as long."""

_PAUSE_SECONDS = 0.5

Result = TypeVar("Result")
log = logging.getLogger(__name__)


class RetriesExhausted(Exception):
    """Something failed for so long that it is not tried any more."""


class Retries:
    """The attempts of one worker, of which one at a time is repeated. Safe to read from other
    threads."""

    def __init__(self) -> None:
        self._failing: tuple[str, str, float] | None = None

    async def until_done(
        self, what: str, client: Client, attempt: Callable[[], Awaitable[Result]]
    ) -> Result:
        """The result of the first attempt that succeeds.

        While NATS is away this waits as long as it takes: the limit counts from the first failure
        on the client's connection. Raises `RetriesExhausted`.
        """
        reported, since = "", time.monotonic()
        try:
            while True:
                try:
                    result = await attempt()
                except (NatsError, TimeoutError, OSError) as error:
                    reason = str(error) or type(error).__name__
                    last = error
                else:
                    if self._failing is not None:
                        log.info("%s has succeeded after %.0f s", what, self.seconds())
                    return result
                now = time.monotonic()
                if self._failing is None or not client.is_connected:
                    since = now
                began = now if self._failing is None else self._failing[2]
                self._failing = what, reason, began
                if reason != reported:
                    log.warning("%s failed and is retried: %s", what, reason)
                    reported = reason
                if now - since > LIMIT_SECONDS:
                    raise RetriesExhausted(
                        f"{what} has failed for {now - began:.0f} s: {reason}"
                    ) from last
                await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            self._failing = None

    def seconds(self) -> float:
        """For how long the same thing has failed; 0 if nothing does."""
        failing = self._failing
        return 0.0 if failing is None else time.monotonic() - failing[2]

    def trouble(self) -> str:
        """What has been failing, for how long and why; empty if nothing has for some seconds."""
        failing = self._failing
        if failing is None or self.seconds() < VISIBLE_SECONDS:
            return ""
        what, reason, _ = failing
        return f"{what} has failed for {self.seconds():.0f} s and is retried: {reason}"
