"""Demos in one folder, whose processes come, go and are killed as they like."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.servers.embedded import is_held
from adapters.settings import read_runtime
from cli.client import ApiClient
from cli.operations import demo_lock
from cli.operations.demo_lock import living_demo
from tests.servers import port_of_its_own
from tests.system.system import eventually

SHORT, LONG = "0.1", "200"
IMAGES = "100"


class Demo:
    """A `stemma demo` of so many epochs in a process of its own."""

    def __init__(self, folder: Path, environment: dict[str, str], *arguments: str) -> None:
        number = len(list(folder.glob("*.out")))
        self._output = folder / f"{number}.out"
        self._result = folder / f"{number}.json"
        argv = [sys.executable, "-m", "cli.main", "demo", *arguments, "--json", str(self._result)]
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                argv, env=environment, stdout=output, stderr=output, start_new_session=True
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def says(self, text: str) -> None:
        eventually(lambda: text in self.output or self._ended(), f"a demo says {text!r}", 300)
        assert text in self.output

    def _ended(self) -> bool:
        return self.process.poll() is not None

    def kill(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.process.wait(300)

    def end(self) -> dict[str, Any]:
        """What it writes at its end."""
        self.process.wait(600)
        assert self._result.exists(), self.output
        result: dict[str, Any] = msgspec.json.decode(self._result.read_bytes())
        return result


class Folder:
    """A data folder, and the demos in it."""

    def __init__(self, data: Path, outputs: Path) -> None:
        self.data = data
        self._outputs = outputs
        self.environment = dict(os.environ) | {
            "STEMMA_DATA": str(data),
            "STEMMA_API_PORT": str(port_of_its_own()),
            "STEMMA_ACK_WAIT_SECONDS": "3",
        }
        self.demos: list[Demo] = []

    def demo(self, epochs: str, *arguments: str) -> Demo:
        wanted = ("--epochs", epochs, "--images", IMAGES, *arguments)
        demo = Demo(self._outputs, self.environment, *wanted)
        self.demos.append(demo)
        return demo

    def down(self) -> None:
        argv = [sys.executable, "-m", "cli.main", "down"]
        subprocess.run(argv, env=self.environment, check=True)

    def is_running(self) -> bool:
        return is_held(self.data / "lock")

    def owner(self) -> str:
        """The `stemma up` that runs."""
        assert self.is_running()
        return (self.data / "lock").read_text()

    def trainings(self) -> list[str]:
        """The statuses of all versions, oldest first."""
        runtime = read_runtime(self.data)
        assert runtime is not None
        with ApiClient(runtime.api_url, runtime.api_key or "") as client:
            versions = client.query("versions", sort="oldest")["items"]
        return [version["status"] for version in versions]

    def processes(self) -> list[str]:
        """Everything that runs for this folder."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                command = (entry / "cmdline").read_bytes()
                if os.fsencode(self.data) in command + (entry / "environ").read_bytes():
                    found.append(command.replace(b"\0", b" ").decode())
        return found


@pytest.fixture
def folder(data: Path, tmp_path: Path) -> Iterator[Folder]:
    made = Folder(data, tmp_path)
    yield made
    for demo in made.demos:
        demo.process.kill()
        demo.process.wait()
    made.down()
    eventually(lambda: made.processes() == [], "nothing is left running")


def test_a_new_system_forgets_that_the_one_before_was_to_go_on(tmp_path: Path) -> None:
    stop = threading.Event()
    with living_demo(tmp_path, print) as demo:
        demo.keep_running()
        demo_lock.begin(tmp_path, stop)
        assert not stop.is_set()
    assert stop.wait(60)


def test_two_at_once_end_ready_with_the_same_figures_beside_one_that_searches(
    folder: Folder,
) -> None:
    first, second = folder.demo(SHORT), folder.demo(SHORT)
    searching = folder.demo(SHORT, "--experiment", "--trials", "2")
    one, other, found = first.end(), second.end(), searching.end()
    assert (found["trials"], found["pruned"], found["epochs_trained"]) == (2, 0, 2)
    assert found["accuracy"] > 0
    assert "The best of 2 is" in searching.output
    # They are smaller than the default demos, which alone have to be good enough.
    assert [each.process.returncode for each in (first, second, searching)] == [0, 0, 0]
    assert "`stemma up` starts it again" in first.output
    assert "is still running" not in first.output + second.output
    assert one["version"] != other["version"]
    assert (one["status"], other["status"]) == ("ready", "ready")
    assert one["accuracy"] == other["accuracy"] > 0
    eventually(lambda: folder.processes() == [], "nothing is left running")
    assert list((folder.data / "demos").glob("*-*")) == []


def test_whoever_is_killed_the_others_go_on_and_the_last_one_stops_all(folder: Folder) -> None:
    first = folder.demo(LONG)
    first.says("Watch it live")
    owner = folder.owner()
    before = first
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        after = folder.demo(LONG if number != signal.SIGKILL else SHORT)
        after.says("Using the running system")
        before.kill(number)
        before = after
    another = folder.demo(LONG)
    another.says("Using the running system")
    another.kill(signal.SIGKILL)
    assert folder.owner() == owner
    assert before.end()["status"] == "ready"
    assert not folder.is_running()


def test_what_an_interrupted_demo_left_is_cancelled_by_the_next(folder: Folder) -> None:
    interrupted = folder.demo(LONG)
    interrupted.says("Watch it live")
    interrupted.kill(signal.SIGKILL)
    eventually(lambda: not folder.is_running(), "nothing runs without a demo", 300)
    after = folder.demo(SHORT, "--keep")
    after.says("Cancelled a training")
    assert after.end()["status"] == "ready"
    assert folder.trainings() == ["cancelled", "ready"]


def test_what_is_kept_is_used_until_it_is_stopped_which_a_demo_says(folder: Folder) -> None:
    assert folder.demo(SHORT, "--keep").end()["status"] == "ready"
    owner = folder.owner()
    beside = folder.demo(SHORT)
    assert beside.end()["status"] == "ready"
    assert "Stemma is still running" in beside.output
    interrupted = folder.demo(LONG)
    interrupted.says("Watch it live")
    interrupted.kill(signal.SIGKILL)
    under_way = folder.demo(LONG)
    under_way.says("Watch it live")
    assert folder.owner() == owner
    folder.down()
    assert under_way.process.wait(300) == 1
    assert re.search("^The demo stopped: the system at .* was stopped$", under_way.output, re.M)
    assert "`stemma up` continues its training" in under_way.output
