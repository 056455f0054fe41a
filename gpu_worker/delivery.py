"""One delivery of a job: the child that trains, its heartbeats to NATS, its reports onwards."""

import asyncio
import logging
import signal
from collections.abc import Coroutine
from datetime import UTC, datetime

import msgspec
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext

from adapters.jetstream import publish, report_subject
from adapters.settings import Settings
from domain.messages import AnyReport, Completed, Failed, Report, TrainJob
from gpu_worker.channel import SUPERSEDED, Assignment
from gpu_worker.process import Child

MAX_DELIVERIES = 5
_REDELIVERY_SECONDS = 1.0
_ACK_SECONDS = 5.0

log = logging.getLogger(__name__)


class Delivery:
    """A job in hand. Its message is acknowledged when its last report has been published."""

    def __init__(
        self, js: JetStreamContext, settings: Settings, message: Msg, job: TrainJob
    ) -> None:
        self._js = js
        self._settings = settings
        self._message = message
        self._job = job
        self._try = message.metadata.num_delivered
        self._number = job.deliveries_before + self._try
        self._reported = 0
        self._closed = False

    async def work(self, stop: asyncio.Event) -> None:
        """Train to the end, or until `stop`; then the job is handed back for another worker."""
        heart = asyncio.create_task(self._beat())
        try:
            if self._try > MAX_DELIVERIES:
                await self._give_up("the worker itself was stopped or lost its connection")
                return
            status = await self._train(stop)
            if self._closed or status == SUPERSEDED:
                return
            if stop.is_set():
                await tell(self._message.nak())
            elif self._try == MAX_DELIVERIES:
                await self._give_up(f"the training process {_ending(status)}")
            else:
                log.warning("job %s: the child %s", self._job.message_id, _ending(status))
                await tell(self._message.nak(_REDELIVERY_SECONDS))
        finally:
            heart.cancel()

    async def _train(self, stop: asyncio.Event) -> int:
        """Run the child; its exit status."""
        bare = msgspec.structs.replace(
            self._settings, database_url=None, database_admin_url=None, nats_url=None
        )
        child = await Child.start(Assignment(self._job, self._number, bare))
        forward = asyncio.create_task(self._forward(child))
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({forward, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if forward.done():
                forward.result()
                return await child.ended()
            return 0
        finally:
            forward.cancel()
            stopped.cancel()
            await child.kill()

    async def _forward(self, child: Child) -> None:
        """Publish what the child says. It learns that a report is safe only once it is, and that
        the last one is only once the job is acknowledged: then it deletes its checkpoints."""
        async for body in child.reports():
            await self._report(body)
            if isinstance(body, (Completed, Failed)):
                await self._acknowledge()
            child.published(self._reported)

    async def _report(self, body: AnyReport) -> None:
        self._reported += 1
        report = Report(
            version_id=self._job.version_id,
            attempt=self._job.attempt,
            delivery=self._number,
            sequence=self._reported,
            at=datetime.now(UTC),
            worker=self._settings.worker_name,
            correlation_id=self._job.correlation_id,
            body=body,
        )
        await publish(
            self._js,
            report_subject(report.version_id),
            msgspec.json.encode(report),
            message_id=report.message_id,
        )

    async def _give_up(self, how: str) -> None:
        await self._report(
            Failed(
                reason=f"training was interrupted {MAX_DELIVERIES} times; the last time {how}."
                " If memory may be short, choose a smaller batch or image size; then retry"
            )
        )
        await tell(self._message.term())

    async def _acknowledge(self) -> None:
        while not self._closed:
            try:
                await self._message.ack_sync(_ACK_SECONDS)
                self._closed = True
            except (NatsError, TimeoutError, OSError) as error:
                log.warning("the acknowledgement is repeated: %s", error or type(error).__name__)
                await asyncio.sleep(0.5)

    async def _beat(self) -> None:
        """Keep the job from being handed to another worker while this one is at it."""
        while True:
            await asyncio.sleep(self._settings.ack_wait_seconds / 3)
            await tell(self._message.in_progress())


async def tell(answer: Coroutine[object, object, None]) -> None:
    """An answer that is lost only means that NATS delivers the job again, after ack_wait."""
    try:
        await answer
    except (NatsError, TimeoutError, OSError) as error:
        log.warning("an answer to NATS was lost: %s", error or type(error).__name__)


def _ending(status: int) -> str:
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended without a result (exit status {status})"
