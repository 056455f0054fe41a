"""The delay from a worker's report on NATS to a client that follows the version, with real
processes."""

import asyncio
import http.client
import json
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlsplit

import msgspec
from nats.js import JetStreamContext
from nats.js.api import StreamState

from adapters.nats.jetstream import JOBS, connect, publish, report_subject
from adapters.nats.login import NatsLogin
from adapters.settings import Runtime, read_runtime
from adapters.training.job_key import job_tokens
from application.log.store import Store
from benchmarks.database import copy_prepared
from benchmarks.measurements import Measurement, quantile
from benchmarks.operations.start import await_ready
from benchmarks.processes import data_folder, stemma
from benchmarks.quiet import repeat
from benchmarks.sample_events import CONCEPTS, SMALL, recorded
from cli.client import authorization
from domain.aggregates import VERSION
from domain.training.messages import AnyReport, BatchMetrics, Report, Started
from domain.training.options import resolve_options
from domain.training.version import VersionCreated
from projections.training.metric_history import BATCH_LOSS

REPORTS, QUICK_REPORTS, WARM_UP = 100, 5, 10
SECONDS_BETWEEN = 0.1
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
PATIENCE_SECONDS = 60.0


def run(quick: bool) -> list[Measurement]:
    """Milliseconds until the client has received the iteration of a report."""
    reports = QUICK_REPORTS if quick else REPORTS
    with data_folder() as folder:
        copy_prepared(folder)
        log = folder / "up.log"
        with stemma("up", log=log, settings={"STEMMA_DATA": str(folder)}) as process:
            await_ready(process, log)
            runtime = read_runtime(folder)
            assert runtime is not None
            training = _Training(runtime)
            asyncio.run(training.begin())
            asyncio.run(training.delays(WARM_UP))
            done = repeat(
                1 if quick else 3,
                lambda: asyncio.run(training.delays(reports)),
                spare=0 if quick else 2,
            )
    rate = round(1 / SECONDS_BETWEEN)
    return [
        Measurement(
            what=f"a report published until an SSE client has it, {rate} a second: {label}",
            unit="ms",
            ours=tuple(quantile(delays, share) for delays in done.results),
            others=done.others,
        )
        for label, share in SHARES.items()
    ]


class _Training:
    """A version whose worker is this benchmark.

    Its delivery number is higher than any of the queue, so that its reports supersede the real
    worker's report that the job has no images.
    """

    _DELIVERY = 1000

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._login = NatsLogin(runtime.nats_url, runtime.nats_seed)
        self._version_id = str(uuid.uuid4())
        tokens = job_tokens(runtime.database_url)
        self._token = tokens.of(self._version_id, 1, "benchmark")
        self._reports = 0
        self._iterations = 0

    async def begin(self) -> None:
        """Create the version, report its start, and wait until the real worker is idle again."""
        store = Store(self._runtime.database_url)
        store.append([recorded(VERSION.stream(self._version_id), 1, _created())])
        store.close()
        client = await connect(self._login, "benchmark")
        js = client.jetstream()
        # After the job is sent: otherwise its deliveries would be counted from ours.
        await self._until_jobs(js, lambda jobs: jobs.last_seq > 0)
        await self._report(js, Started("benchmark", "cpu", {}, 0))
        await self._until_jobs(js, lambda jobs: jobs.messages == 0)
        await client.close()

    async def _until_jobs(
        self, js: JetStreamContext, condition: Callable[[StreamState], bool]
    ) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition((await js.stream_info(JOBS)).state):
                await asyncio.sleep(0.05)

    async def delays(self, reports: int) -> list[float]:
        """Milliseconds from each publish until the client received it."""
        client = await connect(self._login, "benchmark")
        js = client.jetstream()
        watcher = _Watcher(self._runtime, self._version_id, self._iterations + reports)
        watcher.start()
        await asyncio.to_thread(watcher.connected.wait, PATIENCE_SECONDS)
        published: dict[int, float] = {}
        for _ in range(reports):
            due = time.perf_counter() + SECONDS_BETWEEN
            self._iterations += 1
            published[self._iterations] = time.perf_counter()
            await self._report(js, BatchMetrics(self._iterations - 1, (0.001,), (0.5,)))
            await asyncio.sleep(due - time.perf_counter())
        await asyncio.to_thread(watcher.join, PATIENCE_SECONDS)
        await client.close()
        return [(watcher.seen[number] - then) * 1000 for number, then in published.items()]

    async def _report(self, js: JetStreamContext, body: AnyReport) -> None:
        """Publish a report, as `gpu_worker.delivery` does."""
        self._reports += 1
        report = Report(
            version_id=self._version_id,
            attempt=1,
            delivery=self._DELIVERY,
            sequence=self._reports,
            at=datetime.now(UTC),
            worker="benchmark",
            correlation_id="benchmark",
            body=body,
            token=self._token,
        )
        subject = report_subject(report.worker, self._version_id)
        await publish(js, subject, msgspec.json.encode(report), message_id=report.message_id)


def _created() -> VersionCreated:
    return VersionCreated(
        project_id=str(uuid.uuid4()),
        view_id=str(uuid.uuid4()),
        model_id=str(uuid.uuid4()),
        number=1,
        name="Benchmark",
        kind="classification",
        concepts=CONCEPTS,
        options=resolve_options("classification", SMALL),
        log_position=0,
    )


class _Watcher(threading.Thread):
    """Follows a version up to an iteration, and records when it received each iteration."""

    def __init__(self, runtime: Runtime, version_id: str, last: int) -> None:
        super().__init__(daemon=True)
        self.connected = threading.Event()
        self.seen: dict[int, float] = {}
        self._server = urlsplit(runtime.api_url).netloc
        self._headers = authorization(runtime.api_key or "")
        self._path = f"/api/v1/versions/{version_id}/events"
        self._last = last

    def run(self) -> None:
        connection = http.client.HTTPConnection(self._server, timeout=PATIENCE_SECONDS)
        connection.request("GET", self._path, headers=self._headers)
        stream = connection.getresponse()
        assert stream.status == 200, stream.read()
        event = ""
        while self._last not in self.seen and (line := stream.readline().decode()):
            self.connected.set()
            field, _, value = line.strip().partition(": ")
            if field == "event":
                event = value
            elif field == "data" and event == "metrics":
                now = time.perf_counter()
                for series in json.loads(value):
                    if series["metric"] == BATCH_LOSS:
                        self.seen |= dict.fromkeys(series["iterations"], now)
        connection.close()
