"""The API's routes of jobs, for jobs that a benchmark or a test sends without a log."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any, cast

import uvicorn
from litestar import Litestar, Router

from adapters.blobs.blobs import BlobStore
from adapters.training.job_access import JobAccess, OpenJob
from api.backend import Backend
from api.http.parameters import JsonRequest, provided
from api.http.problems import HANDLERS
from api.operations.health import HealthController
from api.training.jobs import JobController
from domain.training.jobs import Job, OnnxJob, PredictJob, purpose_of


class DispatchedJobs(JobAccess):
    """Jobs as they were sent."""

    def __init__(self, blobs: BlobStore) -> None:
        super().__init__(cast(Any, None), "", blobs)
        self._dispatched: dict[str, list[OpenJob]] = {}

    def add(self, job: Job, *, ended: bool = False) -> None:
        match job:
            case PredictJob(checkpoint=checkpoint):
                files = {checkpoint}
            case OnnxJob(model=model):
                files = {model.checkpoint}
            case _:
                files = {job.initial_weights.blob} if job.initial_weights else set()
        opened = OpenJob(
            job.version_id,
            job.attempt,
            job.manifest,
            job.token,
            ended=ended,
            purpose=purpose_of(job),
            files=frozenset(files),
        )
        self._dispatched.setdefault(job.version_id, []).append(opened)

    def jobs_of(self, version_id: str) -> list[OpenJob]:
        return self._dispatched.get(version_id, [])[-1:]


class Uploads:
    """What was uploaded, without a database."""

    def __init__(self) -> None:
        self._noted: set[tuple[str, str]] = set()

    def note(self, stream: str, digest: str) -> None:
        self._noted.add((stream, digest))

    def has(self, stream: str, digest: str) -> bool:
        return (stream, digest) in self._noted


class JobBackend(Backend):
    """What the routes of jobs use of the backend."""

    def __init__(self, jobs: DispatchedJobs, blobs: BlobStore) -> None:
        self.jobs, self.blobs = jobs, blobs
        self.uploaded = cast(Any, Uploads())
        self.refusals = cast(Any, SimpleNamespace(note=lambda *_: None))


class _Server(uvicorn.Server):
    """A server that runs in a thread of its own."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._decided = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Start the thread, and wait until it serves. Raises `RuntimeError` if it cannot."""
        self._thread.start()
        self._decided.wait()
        if not self.started:
            self._thread.join()
            raise RuntimeError(f"port {self.config.port} cannot be served: is it in use?")

    def stop(self) -> None:
        self.should_exit = True
        self._thread.join()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._decided.set()

    def _run(self) -> None:
        try:
            with suppress(SystemExit):  # how uvicorn ends if the port is in use
                self.run()
        finally:
            self._decided.set()


@contextmanager
def serving_jobs(blobs: BlobStore, port: int) -> Iterator[DispatchedJobs]:
    """Serve the routes of jobs at a port of this machine. Raises `RuntimeError` if it is in use."""
    jobs = DispatchedJobs(blobs)
    backend = JobBackend(jobs, blobs)
    app = Litestar(
        [Router("/api/v1", route_handlers=[JobController]), HealthController],
        dependencies=provided(backend=lambda: backend),
        exception_handlers=HANDLERS,
        request_class=JsonRequest,
        openapi_config=None,
        logging_config=None,
    )
    app.state.backend = backend
    server = _Server(
        uvicorn.Config(app, port=port, log_config=None, lifespan="off", access_log=False)
    )
    server.start()
    try:
        yield jobs
    finally:
        server.stop()


@contextmanager
def serving_job(job: Job, blobs: BlobStore) -> Iterator[str]:
    """Serve the routes of one job at a free port; the address of the API."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with serving_jobs(blobs, port) as jobs:
        jobs.add(job)
        yield f"http://127.0.0.1:{port}"
