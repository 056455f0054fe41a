"""The backend's side of a worker, for tests: dispatch jobs, read the report stream, find pids."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from adapters.blobs.blobs import BlobStore
from adapters.nats.jetstream import (
    JOBS,
    REPORTS,
    WORKERS_BUCKET,
    connect,
    ensure_job_consumer,
    ensure_streams,
    job_subject,
    publish,
)
from adapters.settings import Settings
from adapters.training.control import put_desired_state
from benchmarks.job_api import DispatchedJobs, serving_jobs
from domain.training.jobs import Job
from domain.training.messages import (
    AnyReport,
    BatchMetrics,
    Completed,
    Desired,
    DesiredState,
    Failed,
    Predicted,
    Report,
    WorkerPresence,
)
from gpu_worker.child import TITLE
from gpu_worker.worker import run_worker
from tests.waiting import HANG_SECONDS


class Backend:
    """Dispatches jobs and reads every report, in the order of the stream."""

    def __init__(self, js: JetStreamContext, jobs: DispatchedJobs) -> None:
        self.js, self._jobs = js, jobs
        self.reports: list[Report] = []

    async def dispatch(self, job: Job, *, known: bool = True, ended: bool = False) -> None:
        """Send a job. The server may not know it, or take it for one that has ended."""
        if known:
            self._jobs.add(job, ended=ended)
        payload = msgspec.json.encode(job)
        await publish(self.js, job_subject("default"), payload, message_id=job.message_id)

    async def wish(self, desired: Desired, version_id: str = "v1", attempt: int = 1) -> None:
        await put_desired_state(self.js, version_id, DesiredState(attempt, desired))

    async def until(self, wanted: Callable[[AnyReport], bool], version_id: str = "v1") -> None:
        """Read on until a report of the version is the wanted one."""
        async with asyncio.timeout(HANG_SECONDS):
            while True:
                report = await self._next()
                if report.version_id == version_id and wanted(report.body):
                    return

    async def until_iteration(self, number: int) -> None:
        """Read on until so many iterations have been reported."""

        def wanted(body: AnyReport) -> bool:
            return (
                isinstance(body, BatchMetrics) and body.first_iteration + len(body.loss) >= number
            )

        await self.until(wanted)

    async def until_end(self, version_id: str = "v1") -> None:
        await self.until(lambda body: isinstance(body, Completed | Predicted | Failed), version_id)

    async def until_trouble(self, name: str) -> str:
        """Wait until a worker says that something fails; returns that."""
        workers = await self.js.key_value(WORKERS_BUCKET)
        async with asyncio.timeout(HANG_SECONDS):
            while True:
                with suppress(NotFoundError):
                    entry = await workers.get(name)
                    presence = msgspec.json.decode(entry.value or b"", type=WorkerPresence)
                    if presence.trouble:
                        return presence.trouble
                await asyncio.sleep(0.05)

    async def until_no_job_is_left(self) -> None:
        async with asyncio.timeout(HANG_SECONDS):
            while (await self.js.stream_info(JOBS)).state.messages:
                await asyncio.sleep(0.02)

    async def _next(self) -> Report:
        while True:
            with suppress(NotFoundError, NatsError, TimeoutError):
                message = await self.js.get_msg(REPORTS, len(self.reports) + 1)
                assert message.data is not None
                self.reports.append(msgspec.json.decode(message.data, type=Report))
                return self.reports[-1]
            await asyncio.sleep(0.02)

    def of(self, version_id: str) -> list[Report]:
        return [report for report in self.reports if report.version_id == version_id]


@asynccontextmanager
async def backend(settings: Settings) -> AsyncIterator[Backend]:
    """Its streams, and the API's routes of jobs at the address of the settings."""
    blobs = BlobStore.from_url(settings.require("blobs_url"))
    port = int(settings.require("api_url").rpartition(":")[2])
    client = await connect(settings.require("nats_url"), "backend")
    js = client.jetstream()
    await ensure_streams(js)
    await ensure_job_consumer(js, settings.queue, settings.ack_wait_seconds)
    try:
        with serving_jobs(blobs, port) as jobs:
            yield Backend(js, jobs)
    finally:
        await client.close()


@asynccontextmanager
async def worker(settings: Settings) -> AsyncIterator[asyncio.Event]:
    """A worker in this process, which has no blob store; its stop event."""
    stop = asyncio.Event()
    own = msgspec.structs.replace(settings, blobs_url=None)
    running = asyncio.create_task(run_worker(own, stop))
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(HANG_SECONDS):
            await running


_WORKER = """
import asyncio, logging
from adapters.settings import load_settings
from gpu_worker.worker import run_worker
logging.basicConfig(level=logging.INFO)
asyncio.run(run_worker(load_settings(), asyncio.Event()))
"""


@asynccontextmanager
async def worker_process(
    settings: Settings, name: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker in a process of its own, killed in the end if it still lives."""
    environment = {
        f"STEMMA_{key.upper()}": str(value)
        for key, value in msgspec.structs.asdict(settings).items()
        if value is not None and key != "blobs_url"
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _WORKER, env=os.environ | environment | {"STEMMA_WORKER_NAME": name}
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def forking(worker: int) -> list[int]:
    """The process id of what forks a worker's trainings, if it runs."""
    return [
        pid
        for pid in _below(worker)
        if "multiprocessing.forkserver" in _command(pid) and _state(pid) != "Z"
    ]


def children(worker: int) -> list[int]:
    """The process ids of the trainings that a worker has running."""
    return [pid for parent in forking(worker) for pid in _below(parent) if _name(pid) == TITLE]


def ranks(training: int) -> list[int]:
    """The process ids of those that train along with a training process."""
    return [pid for pid in _below(training) if "gpu_worker.rank" in _command(pid)]


def parent_of(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.partition("\nPPid:\t")[2].partition("\n")[0])


def _below(parent: int) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if f"\nPPid:\t{parent}\n" in (folder / "status").read_text():
                found.append(int(folder.name))
    return found


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(") ")[2][:1]
    except OSError:
        return ""


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
    except OSError:
        return ""


async def child_of(parent: int, *, other_than: int = 0) -> int:
    """Wait for a worker's training process."""
    deadline = time.monotonic() + HANG_SECONDS
    while time.monotonic() < deadline:
        for found in children(parent):
            if found != other_than:
                return found
        await asyncio.sleep(0.01)
    raise TimeoutError(f"process {parent} started no training")


async def gone(pid: int) -> None:
    """Wait until a process has ended; one that nobody has waited for yet has ended too."""
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            try:
                status = (Path("/proc") / str(pid) / "status").read_text()
            except OSError:
                return
            if "\nState:\tZ" in status:
                return
            await asyncio.sleep(0.01)
