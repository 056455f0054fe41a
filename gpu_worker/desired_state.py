"""What users want of the job that a worker is at: heard as it is said, and looked up besides."""

import logging
from collections.abc import AsyncGenerator

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeout
from nats.js import JetStreamContext

from adapters.training.control import (
    decode_desired_state,
    desired_state_subject,
    read_desired_state,
)
from domain.training.messages import Desired, DesiredState, TrainJob

POLL_SECONDS = 2.0

log = logging.getLogger(__name__)


class DesiredStateWatcher:
    """The wishes about one job's version, as far as they mean this job."""

    def __init__(self, client: Client, js: JetStreamContext, job: TrainJob) -> None:
        self._client = client
        self._js = js
        self._job = job

    async def now(self) -> Desired | None:
        """What is wanted. Raises what NATS raises when it is away."""
        return self._meant(await read_desired_state(self._js, self._job.version_id))

    async def follow(self) -> AsyncGenerator[Desired, None]:
        """What is wanted, and then each change of it.

        The subscription outlives a connection, but not what was said while there was none: for
        that, and for the beginning, the wish that stands is looked up.
        """
        # Of all versions: a listener to one subject alone is what makes NATS deliver to it what a
        # subscriber's consumer is told to send there.
        heard = await self._client.subscribe(desired_state_subject("*"))
        known: Desired | None = None
        wanted = await self._look()
        try:
            while True:
                if wanted is not None and wanted != known:
                    known = wanted
                    yield wanted
                try:
                    message = await heard.next_msg(timeout=POLL_SECONDS)
                    if message.subject == desired_state_subject(self._job.version_id):
                        wanted = self._meant(decode_desired_state(message.data))
                except NatsTimeout:
                    wanted = await self._look()
        finally:
            await heard.unsubscribe()

    async def _look(self) -> Desired | None:
        try:
            return await self.now()
        except (NatsError, TimeoutError, OSError) as error:
            log.warning("wishes cannot be looked up: %s", error or type(error).__name__)
            return None

    def _meant(self, wish: DesiredState | None) -> Desired | None:
        return None if wish is None else wish.applies_to(self._job)
