"""One delivery of a job: the child that runs torch, its heartbeats, reports and desired state."""

import asyncio
import logging
import secrets
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from adapters.nats.jetstream import end_tasks, jetstream, publish, report_subject
from adapters.settings import Settings
from domain.training.jobs import Job, OnnxJob, PredictJob, purpose_of
from domain.training.messages import (
    AnyReport,
    Completed,
    Desired,
    Failed,
    OnnxMade,
    Predicted,
    Report,
)
from gpu_worker.channel import (
    AWAY,
    DISK_FULL,
    ENDED,
    NOT_SERVED,
    SUPERSEDED,
    Assignment,
)
from gpu_worker.desired_state import DesiredStateWatcher
from gpu_worker.job_trace import JobTrace
from gpu_worker.process import Child
from gpu_worker.retries import Retries, RetriesExhausted
from gpu_worker.stopping import unless
from stemma_trainer.store import JobStore, TokenRefused, TrainingEnded

MAX_INTERRUPTIONS = 5
MEMORY_ADVICE = "If it may have run out of memory, choose a smaller batch or image size; then retry"
PREDICTION_ADVICE = "Find out what ends the worker, then request it again"
_REDELIVERY_SECONDS = 1.0
_ACK_SECONDS = 5.0
_HAND_BACK_SECONDS = 5.0
_PAUSE_SECONDS = 0.5
_REDELIVERY_AFTER_TROUBLE_SECONDS = 30.0

Result = TypeVar("Result")
log = logging.getLogger(__name__)


class Delivery:
    """The current job. Its message is acknowledged when its last report has been published."""

    def __init__(
        self, client: Client, settings: Settings, message: Msg, job: Job, retries: Retries
    ) -> None:
        self._client = client
        self._retries = retries
        self._js = jetstream(client, settings.nats_seed)
        self._desired_state = DesiredStateWatcher(client, self._js, job)
        self._settings = settings
        self._message = message
        self._job = job
        self._try = message.metadata.num_delivered
        self._number = job.deliveries_before + self._try
        self._trace = JobTrace(job, self._number)
        self._reported = 0
        self._secret = secrets.token_hex(16)
        self._closed = self._cancelled = False

    async def work(self, stop: asyncio.Event) -> None:
        """Train to the end, or until `stop`; then the job is handed back for another worker.

        A job whose version is cancelled is dropped, before torch is started or in mid-training.
        """
        heartbeat = asyncio.create_task(self._send_in_progress())
        try:
            with self._trace.delivery(self._settings.worker_name):
                await self._unless_over(stop)
        except RetriesExhausted as error:
            log.error("job %s is handed back: %s", self._job.message_id, error)
            await self._hand_back(_REDELIVERY_AFTER_TROUBLE_SECONDS)
        finally:
            heartbeat.cancel()

    async def _unless_over(self, stop: asyncio.Event) -> None:
        try:
            await self._work(stop)
        except TrainingEnded:
            await self._drop()
        except TokenRefused as error:
            await self._report(Failed(reason=str(error)))
            await send_ack(self._message.term())

    async def _work(self, stop: asyncio.Event) -> None:
        if await self._is_cancelled(stop):
            await self._drop()
            return
        before = await self._interruptions(stop)
        if before >= MAX_INTERRUPTIONS:
            await self._give_up("the worker itself was stopped or lost its connection")
            return
        status = await self._train(stop)
        if self._closed or status == SUPERSEDED:
            return
        if self._cancelled or status == ENDED:
            await self._drop()
        elif await self._had_to_wait(status, stop) or stop.is_set():
            await self._hand_back()
        elif before + 1 == MAX_INTERRUPTIONS:
            await self._give_up(f"the {self._what} process {_ending(status)}", status)
        else:
            log.warning("job %s: the child %s", self._job.message_id, _ending(status))
            await send_ack(self._message.nak(_REDELIVERY_SECONDS))

    async def _is_cancelled(self, stop: asyncio.Event) -> bool:
        """Whether the job is cancelled before its start. Waits for NATS, as reports do."""
        reading = self._until_done("reading the desired state", self._desired_state.now)
        return await unless(stop, reading) == Desired.CANCEL

    async def _until_done(self, what: str, attempt: Callable[[], Awaitable[Result]]) -> Result:
        return await self._retries.until_done(what, self._client, attempt)

    async def _had_to_wait(self, status: int, stop: asyncio.Event) -> bool:
        """Wait until the server stores files again, if the child ended because it did not. False if
        there is room at once: then the training itself may need more than there is."""
        if status not in {AWAY, DISK_FULL, NOT_SERVED}:
            return False
        refused = status == AWAY

        def check() -> None:
            nonlocal refused
            try:
                self._store().check_room()
            except OSError:
                refused = True
                raise

        waiting = self._until_done("storing files on the server", partial(asyncio.to_thread, check))
        await unless(stop, waiting)
        return refused

    async def _interruptions(self, stop: asyncio.Event) -> int:
        """The number of earlier deliveries that ended without being handed back."""
        earlier = self._try - 1
        while earlier >= MAX_INTERRUPTIONS - 1 and not stop.is_set():
            try:
                return earlier - await asyncio.to_thread(self._store().times_handed_back)
            except (TokenRefused, TrainingEnded):
                raise
            except Exception as error:
                log.warning("the job's earlier deliveries cannot be read: %s", error)
                await asyncio.sleep(_PAUSE_SECONDS)
        return min(earlier, MAX_INTERRUPTIONS - 1)

    async def _hand_back(self, delay: float | None = None) -> None:
        """Hand the job to another worker, at once or after a delay. If this cannot be recorded, it
        counts as an interruption."""
        store = self._store(_HAND_BACK_SECONDS)
        try:
            await asyncio.to_thread(store.hand_back, self._number)
        except Exception as error:
            message_id = self._job.message_id
            log.warning("job %s: the hand-back cannot be recorded: %s", message_id, error)
        await send_ack(self._message.nak(delay))

    async def _train(self, stop: asyncio.Event) -> int:
        """Run the child and return its exit status, or 0 where it was killed."""
        bare = msgspec.structs.replace(self._settings, nats_url=None, nats_seed="")
        try:
            child = await Child.start(Assignment(self._job, self._number, bare))
        except ChildProcessError as error:
            log.warning("job %s: %s", self._job.message_id, error)
            return 1
        forward = asyncio.create_task(self._forward(child))
        watch = asyncio.create_task(self._watch(child))
        stopped = asyncio.create_task(stop.wait())
        tasks = {forward, watch, stopped}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                watch.result()
            elif forward.done():
                forward.result()
                return await child.ended()
            return 0
        finally:
            forward.cancel()
            await child.kill()
            await end_tasks(*tasks)

    async def _watch(self, child: Child) -> None:
        """Pass on a request to stop early; return when the version is cancelled."""
        async with aclosing(self._desired_state.follow()) as states:
            async for desired in states:
                log.info("job %s: the desired state is %s", self._job.message_id, desired)
                if desired == Desired.CANCEL:
                    self._cancelled = True
                    return
                child.stop_early()

    async def _drop(self) -> None:
        """Drop the job of a version that has ended, as a cancelled one, and its checkpoints. After
        a failure the next delivery repeats it."""
        log.info("job %s is over", self._job.message_id)
        try:
            await asyncio.to_thread(self._store().forget)
        except TokenRefused:
            log.info("job %s is followed by another: its checkpoints stay", self._job.message_id)
        except Exception:
            log.exception("job %s: its checkpoints cannot be deleted yet", self._job.message_id)
            await send_ack(self._message.nak(_REDELIVERY_SECONDS))
            return
        await send_ack(self._message.ack_sync(_ACK_SECONDS))

    def _store(self, patience: float = 0.0) -> JobStore:
        """What the server stores of the job. Requests are repeated for `patience` seconds."""
        return JobStore(self._job, self._settings.require("api_url"), patience)

    async def _forward(self, child: Child) -> None:
        """Publish the child's reports. The child is notified once a report is stored; for the last
        one once the job is acknowledged, since it then deletes its checkpoints."""
        async for body in child.reports():
            await self._report(body)
            if isinstance(body, (Completed, Predicted, OnnxMade, Failed)):
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
            token=self._job.token,
            purpose=purpose_of(self._job),
        )
        attempt = partial(
            publish,
            self._js,
            report_subject(report.worker, report.version_id),
            msgspec.json.encode(report),
            # Another worker must not guess it: it could make this report count as a duplicate.
            message_id=f"{self._secret}:{self._reported}",
            headers=self._trace.headers(body),
        )
        await self._until_done("publishing a report", attempt)
        self._trace.record(body)

    @property
    def _what(self) -> str:
        match self._job:
            case OnnxJob():
                return "making of the ONNX file"
            case PredictJob():
                return "prediction"
        return "training"

    async def _give_up(self, how: str, status: int = 0) -> None:
        reason = f"{self._what} was interrupted {MAX_INTERRUPTIONS} times; the last time {how}."
        await self._report(Failed(reason=f"{reason} {self._advice(status)}"))
        await send_ack(self._message.term())

    def _advice(self, status: int) -> str:
        if status == DISK_FULL:
            return "Free some space, then retry"
        if status == NOT_SERVED:
            return "See the log of the API, then retry"
        of_finished = isinstance(self._job, PredictJob | OnnxJob)
        return PREDICTION_ADVICE if of_finished else MEMORY_ADVICE

    async def _acknowledge(self) -> None:
        if not self._closed:
            acknowledge = partial(self._message.ack_sync, _ACK_SECONDS)
            await self._until_done("acknowledging a job", acknowledge)
            self._closed = True

    async def _send_in_progress(self) -> None:
        """Keep the job from being handed to another worker while this one is at it."""
        while True:
            await asyncio.sleep(self._settings.ack_wait_seconds / 3)
            await send_ack(self._message.in_progress())


async def send_ack(ack: Coroutine[object, object, object]) -> None:
    """Send an acknowledgement. If it is lost, NATS delivers the job again after ack_wait."""
    try:
        await ack
    except (NatsError, TimeoutError, OSError) as error:
        log.warning("an acknowledgement was lost: %s", error or type(error).__name__)


def _ending(status: int) -> str:
    if status == DISK_FULL:
        return "found that the disk is full"
    if status == NOT_SERVED:
        return "had files that the server could not read or store"
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended without a result (exit status {status})"
