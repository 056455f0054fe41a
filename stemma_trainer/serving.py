"""The parent process: it takes jobs, keeps them, and publishes the reports of its child."""

import asyncio
import inspect
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from stemma_trainer import contract
from stemma_trainer.child import (
    ASSIGNMENT,
    ENDED,
    ORDERS,
    REPORTS,
    SUPERSEDED,
    rank,
    run_child,
    run_follower,
)
from stemma_trainer.connection import AWAY, Connection
from stemma_trainer.contract import Assignment, Job, Report
from stemma_trainer.form import Form
from stemma_trainer.predicting import Predictor
from stemma_trainer.provenance import Code, declare, missing, summary
from stemma_trainer.run import Run
from stemma_trainer.settings import Settings, read_settings, refuse
from stemma_trainer.store import JobStore, Superseded, TokenRefused, TrainingEnded

BEAT_SECONDS, LOOK_SECONDS, FETCH_SECONDS = 10.0, 1.0, 30.0
LONGEST_LINE = 1 << 22
MOST_DELIVERIES = 5
"""A job whose process dies so often fails: it would do so for ever."""

LAST_SECONDS = 5.0
UNANSWERED = (Superseded, TokenRefused, TrainingEnded, httpx.HTTPError, OSError)
"""Errors of the server's routes, for what can do without them."""

log = logging.getLogger("stemma_trainer")


class Trainer:
    """A training function with its name and form."""

    def __init__(
        self,
        name: str,
        form: Form,
        function: Callable[[Run], object],
        *,
        code: str,
        packages: tuple[str, ...],
        device: str,
    ) -> None:
        self.name, self.form, self.function, self.device = name, form, function, device
        own = Path(inspect.getfile(function))
        self._code = Code(own.parent / code, own)
        self._packages = packages
        self._predictor: Predictor | None = None

    @property
    def queue(self) -> str:
        own = "trainer--" + self.name.replace("/", "--")
        given = os.environ.get("STEMMA_QUEUE", "")
        return given if given.startswith(f"{own}--") else own  # that of another worker is none

    def predictor(self, function: Predictor) -> Predictor:
        """Make a function the predictor of the trainer's versions: of a request, a file of weights
        and images, it gives the scores of each image, as `run.predict` takes them.

        Register it, too: the command-line argument `form` writes that the trainer predicts.
        """
        self._predictor = function
        return function

    def serve(self, *, jobs: int | None = None) -> None:
        """Take jobs until the process is stopped, or a number of jobs; with the command-line
        argument `form`, write the form instead.

        STEMMA_API_URL, STEMMA_NATS_URL, STEMMA_NATS_SEED (a seed, or the file of one) and
        STEMMA_WORKER_NAME name the servers and the worker; STEMMA_QUEUE names the queue of
        a seed that is bound to a project.
        """
        if ASSIGNMENT in os.environ and rank():
            run_follower(self.function, self.device)
        elif REPORTS in os.environ:
            declared = declare(self.name, self._code, self._packages)
            run_child(self.function, self._predictor, declared, self.device)
        elif sys.argv[1:] == ["form"]:
            form = self.form.json(predicts=self._predictor is not None)
            sys.stdout.write(form.decode() + "\n")
        else:
            logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
            settings = read_settings()
            _check_archive(self._code)
            asyncio.run(_serve(self, settings, jobs))


def trainer(
    name: str, form: Form, *, code: str = ".", packages: tuple[str, ...] = (), device: str = "cpu"
) -> Callable[[Callable[[Run], object]], Trainer]:
    """Make a function of a run a trainer.

    `code` is the folder that is stored as its source, from that of the function's file on.
    `packages` are those whose versions are declared.
    """

    def make(function: Callable[[Run], object]) -> Trainer:
        return Trainer(name, form, function, code=code, packages=packages, device=device)

    return make


def _check_archive(code: Code) -> None:
    left_out = code.packed().left_out
    if problem := missing(code, left_out):
        refuse(problem)
    if left_out:
        log.warning(summary(left_out))


async def _serve(trainer: Trainer, settings: Settings, jobs: int | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    connection = Connection(settings, stop)
    client = await _unless(stop, connection.open())
    if client is not None:
        try:
            await _take_jobs(trainer, settings, client, stop, jobs)
        finally:
            await _at_last(client.close())
    if connection.refused:
        raise SystemExit(f"NATS refuses the seed of worker {settings.worker}: it was revoked")


async def _take_jobs(
    trainer: Trainer, settings: Settings, client: Client, stop: asyncio.Event, jobs: int | None
) -> None:
    js = client.jetstream(domain=contract.DOMAIN if settings.seed else None)
    log.info("waiting for jobs of %s in queue %s", trainer.name, trainer.queue)
    done = 0
    while not stop.is_set() and (jobs is None or done < jobs):
        message = await _unless(stop, _fetch(js, trainer.queue))
        if message is not None:
            await _Delivery(trainer, settings, js, message).work(stop)
            done += 1


async def _at_last(work: Awaitable[object]) -> None:
    """What is done at the end, if NATS is there."""
    with suppress(*AWAY):
        await asyncio.wait_for(work, LAST_SECONDS)


async def _fetch(js: JetStreamContext, queue: str) -> Msg:
    while True:
        try:
            bound = await js.pull_subscribe_bind(consumer=f"worker-{queue}", stream=contract.STREAM)
            try:
                return (await bound.fetch(1, timeout=FETCH_SECONDS))[0]
            finally:
                await bound.unsubscribe()
        except TimeoutError:
            continue
        except AWAY as error:
            log.warning("jobs cannot be fetched: %s", error or type(error).__name__)
            await asyncio.sleep(LOOK_SECONDS)


class _Delivery:
    """One delivery of a job, whose message is acknowledged once its last report is stored."""

    def __init__(
        self, trainer: Trainer, settings: Settings, js: JetStreamContext, message: Msg
    ) -> None:
        self._trainer, self._settings, self._js, self._message = trainer, settings, js, message
        self._secret = os.urandom(16).hex()
        self._sequence = 0
        self._ended = False

    async def work(self, stop: asyncio.Event) -> None:
        try:
            self._job = msgspec.json.decode(self._message.data, type=Job)
        except msgspec.MsgspecError as error:
            log.error("a job cannot be read and is dropped: %s", error)
            await self._message.term()
            return
        job = self._job
        self._number = job.deliveries_before + self._message.metadata.num_delivered
        what = "attempt" if self._trains else f"{job.purpose} request"
        log.info(
            "version %s begins: %s %d, delivery %d",
            job.version_id,
            what,
            job.attempt,
            self._number,
        )
        if job.contract not in contract.VERSIONS:
            await self._fail(
                f"the job has version {job.contract} of the contract, and this trainer supports"
                f" {contract.VERSIONS[-1]}: update stemma-trainer"
            )
            return
        # Not the child's, which may be killed: the weights of a prediction are gigabytes.
        with tempfile.TemporaryDirectory(prefix="stemma-trainer-") as folder:
            await self._run_child(stop, {} if self._trains else {"TMPDIR": folder})

    @property
    def _trains(self) -> bool:
        return self._job.purpose == contract.TRAINING

    async def _fail(self, reason: str) -> None:
        await self._end({"report": "failed", "reason": reason})

    async def _run_child(self, stop: asyncio.Event, more: Mapping[str, str]) -> None:
        orders_in, orders_out = os.pipe()
        reports_in, reports_out = os.pipe()
        environment = os.environ | more | {ORDERS: str(orders_in), REPORTS: str(reports_out)}
        process = subprocess.Popen(
            [sys.executable, *sys.orig_argv[1:]],
            pass_fds=(orders_in, reports_out),
            env=environment,
            start_new_session=True,
        )
        os.close(orders_in)
        os.close(reports_out)
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=LONGEST_LINE)
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reports_in, "rb")
        )
        self._orders = os.fdopen(orders_out, "wb", buffering=0)
        assignment = Assignment(
            self._job,
            self._number,
            self._settings.worker,
            self._settings.api_url,
            self._settings.cache,
        )
        self._order(msgspec.to_builtins(assignment))
        forward = asyncio.create_task(self._forward(reader))
        keep = asyncio.create_task(self._keep())
        stopped = asyncio.create_task(stop.wait())
        cancelled = handed_back = ended = False
        try:
            await asyncio.wait({forward, keep, stopped}, return_when=asyncio.FIRST_COMPLETED)
            cancelled, handed_back, ended = keep.done(), stopped.done(), forward.done()
            if ended:
                forward.result()
        finally:
            for task in (forward, keep, stopped):
                task.cancel()
            if not ended:
                process.kill()
            status = await asyncio.to_thread(process.wait)
            transport.close()
            self._orders.close()
        await self._settle(status, cancelled=cancelled, handed_back=handed_back)

    async def _settle(self, status: int, *, cancelled: bool, handed_back: bool) -> None:
        if self._ended:
            return
        if status == SUPERSEDED:  # it touches nothing, not even the message
            log.info("version %s ended here: a later delivery continues it", self._job.version_id)
            return
        if cancelled or status == ENDED:
            how = "it was cancelled" if cancelled else "nothing is left to do"
            log.info("version %s ended: %s", self._job.version_id, how)
            await self._forget()
            await self._acknowledge()
        elif handed_back:
            log.info("version %s ended here: another worker continues it", self._job.version_id)
            await self._note_hand_back()
            await _at_last(self._message.nak())
        elif await self._interruptions() >= MOST_DELIVERIES:
            await self._fail(
                f"the {'training' if self._trains else 'prediction'} process ended"
                f" {MOST_DELIVERIES} times without a result, the last time with status {status}"
            )
        else:
            log.warning(
                "version %s ended here: its process had status %d; it is delivered again",
                self._job.version_id,
                status,
            )
            await self._message.nak(delay=LOOK_SECONDS)

    async def _note_hand_back(self) -> None:
        """A delivery that is handed back on purpose does not count as one that died."""
        store = JobStore(self._job, self._settings.api_url, LAST_SECONDS)
        with suppress(*UNANSWERED):
            await asyncio.to_thread(store.hand_back, self._number)

    async def _interruptions(self) -> int:
        """How many deliveries, this one included, ended without being handed back."""
        delivered = self._message.metadata.num_delivered
        if delivered < MOST_DELIVERIES:
            return delivered
        store = JobStore(self._job, self._settings.api_url, LAST_SECONDS)
        with suppress(*UNANSWERED):
            delivered -= await asyncio.to_thread(store.times_handed_back)
        return delivered

    async def _forget(self) -> None:
        """Delete what was saved to resume from; the server keeps that of a failed training."""
        store = JobStore(self._job, self._settings.api_url)
        try:
            await asyncio.to_thread(store.forget)
        except UNANSWERED as error:
            log.warning("version %s: its state is not deleted: %s", self._job.version_id, error)

    async def _forward(self, reader: asyncio.StreamReader) -> None:
        while (line := await reader.readline()).endswith(b"\n"):
            body = json.loads(line)
            if body["report"] in {"completed", "predicted", "failed"}:
                await self._end(body)
            else:
                await self._publish(body)
            self._order({"published": self._sequence})

    async def _publish(self, body: dict[str, Any]) -> None:
        self._sequence += 1
        job, worker = self._job, self._settings.worker
        report = Report(
            job.version_id,
            job.attempt,
            self._number,
            self._sequence,
            datetime.now(UTC),
            worker,
            job.correlation_id,
            job.token,
            body,
            job.purpose,
        )
        headers = {"Nats-Msg-Id": f"{self._secret}:{self._sequence}"}
        subject, payload = f"stemma.reports.{worker}.{job.version_id}", msgspec.json.encode(report)
        await _until_done(lambda: self._js.publish(subject, payload, timeout=5, headers=headers))

    async def _end(self, body: dict[str, Any]) -> None:
        """Publish the last report; the job is done with it."""
        await self._publish(body)
        await self._acknowledge()
        reason = f": {body['reason']}" if body["report"] == "failed" else ""
        ended = f"version {self._job.version_id} ended: {body['report']}{reason}"
        log.info("%s", " ".join(ended.split()))

    async def _acknowledge(self) -> None:
        if self._ended:  # a report follows the last one if what comes after it has failed
            return
        await _until_done(lambda: self._message.ack_sync(timeout=5))
        self._ended = True

    async def _keep(self) -> None:
        """Keep the job, show presence, pass on what users want; returns once it is cancelled."""
        job, beaten, beat = self._job, 0.0, 0.0
        presence = {
            "worker": self._settings.worker,
            "device": self._trainer.device,
            "version_id": job.version_id,
            "since": datetime.now(UTC).isoformat(),
        }
        while True:
            with suppress(*AWAY):
                beat = beat or await self._beat()
                if time.monotonic() - beaten >= beat:
                    beaten = time.monotonic()
                    await self._message.in_progress()
                    workers = await self._js.key_value(contract.WORKERS)
                    await workers.put(self._settings.worker, json.dumps(presence).encode())
                if self._trains and await self._desired():
                    return
            await asyncio.sleep(LOOK_SECONDS)

    async def _beat(self) -> float:
        """How often the job is kept: thrice before NATS would give it to another worker."""
        consumer = f"worker-{self._trainer.queue}"
        found = await self._js.consumer_info(contract.STREAM, consumer)
        wait = found.config.ack_wait or 3 * BEAT_SECONDS
        return min(BEAT_SECONDS, max(wait / 3, LOOK_SECONDS))

    async def _desired(self) -> bool:
        """Whether the version is cancelled; a request to stop early is passed on."""
        subject = f"$KV.{contract.CONTROL}.{self._job.version_id}"
        message = await self._js.get_last_msg(f"KV_{contract.CONTROL}", subject)
        state = msgspec.json.decode(message.data or b"", type=contract.DesiredState)
        if state.desired == "cancel":
            return state.attempt >= self._job.attempt
        if state.attempt == self._job.attempt:
            self._order({"stop_early": True})
        return False

    def _order(self, order: dict[str, Any]) -> None:
        with suppress(BrokenPipeError):
            self._orders.write(json.dumps(order).encode() + b"\n")


async def _until_done(attempt: Callable[[], Awaitable[object]]) -> None:
    """Repeat for as long as NATS is away."""
    while True:
        try:
            await attempt()
            return
        except AWAY as error:
            log.warning("NATS: %s; retrying", error or type(error).__name__)
            await asyncio.sleep(LOOK_SECONDS)


async def _unless(stop: asyncio.Event, work: Any) -> Any:
    """The result of the work, or None if `stop` is set before."""
    task, stopped = asyncio.ensure_future(work), asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if task.done():
        return task.result()
    task.cancel()
    await asyncio.wait({task})
    return None
