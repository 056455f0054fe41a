"""A client's queries while others crowd the same API process, and the memory that this takes."""

import http.client
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from adapters.images.decoders import AT_ONCE, memory_for
from application.access.first_key import give_key
from application.dataset import projects
from benchmarks.calls import do, milliseconds_each, quantiles
from benchmarks.database import migrated_postgres, opened
from benchmarks.measurements import Expected, Measurement
from benchmarks.memory import MEBIBYTE, peak
from benchmarks.operations.crowd_clients import Task
from benchmarks.processes import data_folder, environment, free_port, stemma, tree
from benchmarks.quiet import repeat
from cli.client import authorization
from cli.operations.first_key import new_key
from cli.operations.up import wait_ready

SIDE, QUICK_SIDE = 10_000, 500
CROWDS = {
    "half-open": (1200, 30, "1,200 half-open connections"),
    "waiting": (300, 10, "300 queries at a position beyond the log"),
    "uploading": (24, 3, "24 uploads of images of 100 million pixels"),
}
"""By kind: the clients, those of a quick run, and a description."""

CALLS, QUICK_CALLS = 2000, 5
TIMES_SLOWER = 5.0
BASE_MEBIBYTES = 1024
"""The API itself, with the files of uploads that it reads at once."""

START_SECONDS = 60.0


def run(quick: bool) -> list[Measurement]:
    """Milliseconds of a query, one after the other on an open connection."""
    calls, side = (QUICK_CALLS, QUICK_SIDE) if quick else (CALLS, SIDE)
    with (
        data_folder() as folder,
        migrated_postgres(folder) as server,
        opened(server.app_url) as (store, _),
    ):
        key, crowd_key, port = new_key(), new_key(), free_port()
        give_key(store, key, "benchmark")
        give_key(store, crowd_key, "crowd")
        project = do(store, lambda session: projects.create_project(session, "Crowd")).id
        settings = {
            "STEMMA_DATA": str(folder),
            "STEMMA_DATABASE_URL": server.app_url,
            "STEMMA_BLOBS_URL": f"file://{folder}/blobs",
            "STEMMA_API_PORT": str(port),
            "STEMMA_RATE_LIMIT": "0",
        }
        log = folder / "logs" / "api.log"
        with stemma("api", log=log, settings=settings) as api:
            if not wait_ready(f"http://127.0.0.1:{port}", START_SECONDS):
                raise RuntimeError(f"the API does not answer: {log.read_text()}")
            query = _Query(port, key)
            milliseconds_each(query.ask, calls // 2)
            most = 0.0

            def measure() -> dict[str, list[float]]:
                nonlocal most
                times = {"": milliseconds_each(query.ask, calls)}
                for kind, (count, few, _) in CROWDS.items():
                    task = Task(kind, few if quick else count, port, crowd_key, project, side)
                    with _crowded(task):
                        times[kind] = milliseconds_each(query.ask, calls)
                        most = max(most, sum(peak(pid) for pid in tree(api.pid)))
                return times

            done = repeat(1 if quick else 3, measure, spare=0 if quick else 2)
    bound = BASE_MEBIBYTES + AT_ONCE * memory_for(SIDE * SIDE) / MEBIBYTE
    quiet = [times[""] for times in done.results]
    return [
        *(
            measurement
            for kind, (_, _, what) in CROWDS.items()
            for measurement in quantiles(
                f"a query during {what}",
                [times[kind] for times in done.results],
                done.others,
                alternative="alone",
                theirs=quiet,
                expected=None if quick else {"p99": Expected(TIMES_SLOWER)},
            )
        ),
        Measurement(
            what="most memory of the API and its decoders (RSS)",
            unit="MiB",
            ours=(most,),
            expected=Expected(bound),
            others=done.others,
        ),
    ]


class _Query:
    """A list of projects, on an open connection."""

    def __init__(self, port: int, key: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = authorization(key)

    def ask(self) -> None:
        """Raises `RuntimeError` if it is not answered."""
        self._connection.request("GET", "/api/v1/projects", headers=self._headers)
        response = self._connection.getresponse()
        response.read()
        if response.status != http.client.OK:
            raise RuntimeError(f"the query was answered {response.status}")


@contextmanager
def _crowded(task: Task) -> Iterator[None]:
    """The clients of a task, from when all have begun until all are answered."""
    argv = [sys.executable, "-m", "benchmarks.operations.crowd_clients"]
    process = subprocess.Popen(
        [*argv, msgspec.json.encode(task).decode()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment({}),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if process.stdout.readline() != b"begun\n":
            raise RuntimeError(f"the clients ended with {process.wait()}")
        yield
        # What is still asked for would disturb what is measured next.
        process.communicate()
    finally:
        process.kill()
        process.communicate()
