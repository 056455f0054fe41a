"""A whole Stemma on this machine for a test: real processes, to be killed and looked into."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from adapters.settings import RUNTIME_FILE, Runtime, read_runtime
from cli.client import ApiClient
from cli.demo.digits import handwritten_digits
from cli.operations.up import wait_ready
from tests.gpu_worker.harness import children
from tests.servers import port_of_its_own
from tests.waiting import HANG_SECONDS


class RunningSystem:
    """`stemma up` on a data folder, with deadlines short enough for a test.

    `separate` gives each part a process, to be killed by itself: that takes five more seconds.
    `code` is a folder with the code of another release.
    """

    def __init__(self, data: Path, *, separate: bool = False, code: Path | None = None) -> None:
        self.data = data
        self._separate = separate
        self._code = code
        # Its own, also after a restart: several systems may run at once.
        self._port = port_of_its_own()
        self._up: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = dict(os.environ) | {
            "STEMMA_DATA": str(self.data),
            "STEMMA_ACK_WAIT_SECONDS": "3",
            "STEMMA_CHECKPOINT_SECONDS": "1",
        }
        if self._code is not None:
            environment["PYTHONPATH"] = str(self._code)
        # What a killed `up` left behind would look like the new one's.
        (self.data / RUNTIME_FILE).unlink(missing_ok=True)
        argv = [sys.executable, "-m", "cli.main", "up", "--port", str(self._port)]
        if self._separate:
            argv.append("--separate")
        with (self.data / "up.log").open("ab") as log:
            self._up = subprocess.Popen(
                argv, env=environment, cwd=self._code, stdout=log, stderr=log
            )
        eventually(lambda: read_runtime(self.data) is not None, "stemma up writes runtime.json")
        runtime = self.runtime
        ready = wait_ready(runtime.api_url, HANG_SECONDS)
        assert ready, (self.data / "up.log").read_text()

    def stop(self) -> None:
        if self._up is not None and self._up.poll() is None:
            self._up.terminate()
            self._up.wait(HANG_SECONDS)

    @property
    def runtime(self) -> Runtime:
        runtime = read_runtime(self.data)
        assert runtime is not None
        return runtime

    def client(self) -> ApiClient:
        return ApiClient(self.runtime.api_url, self.runtime.api_key or "")

    def kill_everything(self) -> None:
        """SIGKILL `up` itself; what it ran dies with it."""
        assert self._up is not None
        self._up.kill()
        self._up.wait()

    def kill(self, name: str) -> None:
        """SIGKILL a part, `postgres`, `nats`, or the worker's torch `child`, once it is there."""
        pid = eventually(lambda: self.pid(name), f"{name} runs")
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: self.pid(name) != pid, f"{name} is dead")

    def pid(self, name: str) -> int | None:
        """The process of a part, `postgres`, `nats`, or the worker's torch `child`."""
        assert self._up is not None
        if name == "child":
            worker = self.pid("worker")
            return next(iter(children(worker)), None) if worker else None
        wanted = {"postgres": "/bin/postgres", "nats": "nats-server"}
        mark = wanted.get(name, f"cli.main {name}")
        below = children_of(self._up.pid)
        return next((pid for pid, command in below.items() if mark in command), None)


@contextmanager
def running_system(data: Path, *, separate: bool = False) -> Iterator[RunningSystem]:
    system = RunningSystem(data, separate=separate)
    try:
        system.start()
        yield system
    finally:
        system.stop()


def children_of(parent: int) -> dict[int, str]:
    """The processes that a process has started, with their command lines."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and _parent_of(entry) == parent:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found[int(entry.name)] = command
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def _parent_of(entry: Path) -> int:
    return int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])


def eventually(condition: Callable[[], Any], what: str, seconds: float = HANG_SECONDS) -> Any:
    """Wait until a condition gives something true, and return that."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"this did not come about in {seconds} s: {what}"
        time.sleep(0.03)
    return found


def annotated_digits(client: ApiClient, count: int) -> str:
    """A project of some handwritten digits, annotated and split; returns its view's id."""
    files, digits = handwritten_digits()
    project_id = client.command("projects", {"name": "Digits"})["id"]
    image_ids = client.upload(f"projects/{project_id}/images", files[:count])["ids"]
    body = {"name": "Which digit?", "kind": "classification"}
    view_id = client.command(f"projects/{project_id}/views", body)["id"]
    labels = [str(digit) for digit in range(10)]
    concepts = client.command(f"views/{view_id}/concepts", {"labels": labels})["ids"]
    annotations = [
        {"image_id": image_id, "annotations": [{"concept_id": concepts[digit]}]}
        for image_id, digit in zip(image_ids, digits, strict=False)
    ]
    client.command(f"views/{view_id}/annotations", {"images": annotations})
    client.command(f"projects/{project_id}/validation-split", {"size": 0.2, "seed": 1})
    return str(view_id)


def positions_of(runtime: Runtime, stream: str) -> list[tuple[int, str, str]]:
    """The events of a stream in the log, in order, as (position, name, stream)."""
    query = "SELECT position, name, stream FROM log.events WHERE stream = %s ORDER BY position"
    with psycopg.connect(runtime.database_url) as connection:
        return list(connection.execute(query, (stream,)))


def events_of(runtime: Runtime, version_id: str) -> list[tuple[str, dict[str, Any]]]:
    """A version's events from the log, in order, as (name, payload)."""
    query = "SELECT name, data FROM log.events WHERE stream = %s ORDER BY position"
    with psycopg.connect(runtime.database_url) as connection:
        return list(connection.execute(query, (f"version-{version_id}",)))


def facts_of(events: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """What a version's events record, apart from how often work began, how it was cut into reports,
    and how long it took."""
    facts: dict[str, Any] = {"iterations": []}
    for name, data in events:
        if name == "version.batch_metrics_recorded":
            assert data["first_iteration"] == len(facts["iterations"])
            facts["iterations"] += zip(data["learning_rate"], data["loss"], strict=True)
        elif name not in {
            "version.created",
            "version.training_started",
            "version.training_step_advanced",
        }:
            varying = {"seconds", "delivery"}
            same = {field: value for field, value in data.items() if field not in varying}
            facts.setdefault(name, []).append(same)
    return facts
