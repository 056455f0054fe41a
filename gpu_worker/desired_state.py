"""The desired state of a worker's current job, from a subscription and by polling."""

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
from domain.training.jobs import Job
from domain.training.messages import Desired, DesiredState, TrainJob

POLL_SECONDS = 2.0

log = logging.getLogger(__name__)


class DesiredStateWatcher:
    """Watches the desired state of a job's version, as far as it applies to this job: it is a
    training's, and nothing else is stopped."""

    def __init__(self, client: Client, js: JetStreamContext, job: Job) -> None:
        self._client = client
        self._js = js
        self._job = job

    async def now(self) -> Desired | None:
        """The current desired state. Raises the errors of NATS while it does not answer."""
        return self._applicable(await read_desired_state(self._js, self._job.version_id))

    async def follow(self) -> AsyncGenerator[Desired, None]:
        """Yield the desired state, and then each change of it.

        The subscription survives a reconnect, but messages sent in between are lost: the stored
        state is therefore read at the start and while no message arrives.
        """
        # The wildcard covers all versions: a subscription to a single subject would also receive
        # messages that a consumer of someone else is configured to deliver there.
        subscription = await self._client.subscribe(desired_state_subject("*"))
        current: Desired | None = None
        desired = await self._read()
        try:
            while True:
                if desired is not None and desired != current:
                    current = desired
                    yield desired
                try:
                    message = await subscription.next_msg(timeout=POLL_SECONDS)
                    if message.subject == desired_state_subject(self._job.version_id):
                        desired = self._applicable(decode_desired_state(message.data))
                except NatsTimeout:
                    desired = await self._read()
        finally:
            await subscription.unsubscribe()

    async def _read(self) -> Desired | None:
        try:
            return await self.now()
        except (NatsError, TimeoutError, OSError) as error:
            log.warning("the desired state cannot be read: %s", error or type(error).__name__)
            return None

    def _applicable(self, state: DesiredState | None) -> Desired | None:
        if state is None or not isinstance(self._job, TrainJob):
            return None
        return state.applies_to(self._job)
