"""The delay from a commit to each of 1,000 clients that follow all events at one API process."""

import subprocess
import sys
import time
import uuid

import msgspec

from application.access.first_key import give_key
from application.log.store import Store
from benchmarks.calls import quantiles
from benchmarks.database import migrated_postgres, opened
from benchmarks.measurements import Measurement
from benchmarks.processes import data_folder, free_port, stemma
from benchmarks.quiet import repeat
from benchmarks.sample_events import recorded
from benchmarks.subscriptions.sse_clients import Task
from cli.operations.first_key import new_key
from cli.operations.up import wait_ready
from domain.aggregates import PROJECT
from domain.dataset.project import ProjectCreated, ProjectRenamed

CLIENTS, QUICK_CLIENTS = 1000, 20
EVENTS, QUICK_EVENTS = 200, 10
WARM_UP = 20
EVENTS_A_SECOND = 20
CLIENT_PROCESSES = 2
POLL_SECONDS = 1.0
START_SECONDS = 60.0


def run(quick: bool) -> list[Measurement]:
    """Milliseconds from before the append until a client received the event, for all deliveries."""
    clients = QUICK_CLIENTS if quick else CLIENTS
    events = QUICK_EVENTS if quick else EVENTS
    with (
        data_folder() as folder,
        migrated_postgres(folder) as server,
        opened(server.app_url) as (store, _),
    ):
        port = free_port()
        settings = {
            "STEMMA_DATA": str(folder),
            "STEMMA_DATABASE_URL": server.app_url,
            "STEMMA_BLOBS_URL": f"file://{folder}/blobs",
            "STEMMA_API_PORT": str(port),
            "STEMMA_RATE_LIMIT": "0",
            "STEMMA_STREAMS": "0",
        }
        log = folder / "logs" / "api.log"
        with stemma("api", log=log, settings=settings):
            if not wait_ready(f"http://127.0.0.1:{port}", START_SECONDS):
                raise RuntimeError(f"the API does not answer: {log.read_text()}")
            writer = _Writer(store)
            _delays(writer, port, 1, WARM_UP)

            def measure() -> tuple[list[float], list[float], list[float]]:
                return (
                    _delays(writer, port, clients, events),
                    _delays(writer, port, 1, events),
                    _delays(writer, port, clients, events, POLL_SECONDS),
                )

            done = repeat(1 if quick else 3, measure, spare=0 if quick else 2)
    many, single, polled = ([each[place] for each in done.results] for place in range(3))
    what = f"a commit until an SSE client has it, {EVENTS_A_SECOND} a second to {clients:,} clients"
    return [
        *quantiles(what, many, done.others, alternative="to one client alone", theirs=single),
        *quantiles(
            what,
            many,
            done.others,
            alternative=f"{clients:,} clients that each ask for a page every second",
            theirs=polled,
        ),
    ]


class _Writer:
    """Appends events to a project's stream, one at a time, at a steady rate."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.key = new_key()
        give_key(store, self.key, "benchmark")
        self._stream = PROJECT.stream(str(uuid.uuid4()))
        self._revision = 1
        self.position = store.append([recorded(self._stream, 1, ProjectCreated("Benchmark"))])

    def write(self, events: int) -> list[float]:
        """Append events; return the time at which each append began."""
        began = []
        due = time.perf_counter()
        for _ in range(events):
            time.sleep(max(0.0, due - time.perf_counter()))
            due += 1 / EVENTS_A_SECOND
            self._revision += 1
            event = recorded(self._stream, self._revision, ProjectRenamed(f"{self._revision}"))
            began.append(time.perf_counter())
            self.position = self._store.append([event])
        return began


def _delays(
    writer: _Writer, port: int, clients: int, events: int, poll_seconds: float | None = None
) -> list[float]:
    """Milliseconds of each delivery; the clients check that no event is missing."""
    shares = [len(range(place, clients, CLIENT_PROCESSES)) for place in range(CLIENT_PROCESSES)]
    first = writer.position + 1
    last = writer.position + events
    running = [
        _start(Task(port, writer.key, share, first, last, poll_seconds))
        for share in shares
        if share
    ]
    for process in running:
        assert process.stdout is not None
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError("a client did not connect")
    began = writer.write(events)
    received: list[list[float]] = []
    for process in running:
        answer, _ = process.communicate()
        if process.returncode:
            raise RuntimeError(f"a client process ended with {process.returncode}")
        received += msgspec.json.decode(answer, type=list[list[float]])
    assert len(received) == clients
    return [
        (end - begin) * 1000 for times in received for begin, end in zip(began, times, strict=True)
    ]


def _start(task: Task) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.subscriptions.sse_clients"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(task) + b"\n")
    process.stdin.flush()
    return process
