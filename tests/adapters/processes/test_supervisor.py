"""The supervisor: what dies is restarted and said, and everything stops in order."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from adapters.processes.processes import wait_until
from adapters.processes.supervisor import Backoff, Supervisor
from adapters.servers.embedded import EmbeddedServerError
from adapters.servers.nats import EmbeddedNats
from adapters.servers.postgres import EmbeddedPostgres
from tests.waiting import HANG_SECONDS

SLEEPER = ["sleep", "1000"]


class Said(list[str]):
    """What a supervisor has said so far."""


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def supervisor(tmp_path: Path, said: Said) -> Iterator[Supervisor]:
    made = Supervisor(tmp_path, said.append, stop_seconds=2.0)
    yield made
    made.stop()


def tick_until(
    supervisor: Supervisor, condition: Callable[[], bool], seconds: float = HANG_SECONDS
) -> None:
    def ticked() -> bool:
        supervisor.tick()
        return condition()

    assert wait_until(ticked, seconds)


def exists(pid: int) -> bool:
    """Whether a process runs; one that waits for its parent to read its status does not."""
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
            != "Z"
        )
    except FileNotFoundError:
        return False


def test_the_wait_doubles_up_to_a_limit_and_is_forgotten_after_a_long_life() -> None:
    backoff = Backoff()
    assert [backoff.after_life_of(1) for _ in range(7)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert backoff.after_life_of(10) == 0.2
    assert backoff.after_life_of(9.9) == 0.4


def test_a_killed_process_is_restarted_and_said(supervisor: Supervisor, said: Said) -> None:
    supervisor.add_process("worker", SLEEPER)
    supervisor.start()
    first = supervisor.pids()["worker"]
    os.kill(first, signal.SIGKILL)
    tick_until(supervisor, lambda: supervisor.pids().get("worker", first) != first)
    second = supervisor.pids()["worker"]
    assert said == [
        "worker died (signal 9), restarting in 0.2 s",
        f"worker restarted (pid {second})",
    ]


def test_a_process_that_keeps_failing_is_restarted_ever_later(
    supervisor: Supervisor, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(
        "adapters.processes.supervisor.time", SimpleNamespace(monotonic=lambda: now)
    )
    supervisor.add_process("failing", ["false"])
    supervisor.start()
    for number, wait in enumerate((0.2, 0.4, 0.8), start=1):
        tick_until(supervisor, lambda: len(said) == 2 * number - 1)  # noqa: B023
        assert said[-1] == f"failing died (exit code 1), restarting in {wait} s"
        now += wait - 0.01
        supervisor.tick()
        assert len(said) == 2 * number - 1
        now += 0.02
        supervisor.tick()
        assert said[-1].startswith("failing restarted")


def test_what_ends_first_has_ended_when_the_others_are_stopped(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    other, ready, ended = (tmp_path / name for name in ("other", "ready", "ended"))
    ending = f"kill -0 $(cat {other}) && touch {ended}; exit"
    script = f"trap '{ending}' TERM; touch {ready}; while :; do sleep 0.05; done"
    supervisor.add_process("worker", ["sh", "-c", script], ends_first=True)
    supervisor.add_process("api", SLEEPER)
    supervisor.start()
    other.write_text(str(supervisor.pids()["api"]))
    assert wait_until(ready.exists, HANG_SECONDS)
    supervisor.stop()
    assert ended.exists()
    assert supervisor.pids() == {}


def test_a_command_that_is_not_there_does_not_end_the_watch(
    supervisor: Supervisor, said: Said, tmp_path: Path
) -> None:
    command = tmp_path / "command"
    # Not a script, which its shell opens by name once more, at a time of its own.
    command.symlink_to(str(shutil.which("sleep")))
    supervisor.add_process("part", [str(command), "1000"])
    supervisor.start()
    moved = command.rename(tmp_path / "elsewhere")
    os.kill(supervisor.pids()["part"], signal.SIGKILL)
    tick_until(supervisor, lambda: any("could not be started" in line for line in said))
    moved.rename(command)
    tick_until(supervisor, lambda: "part" in supervisor.pids())


def test_what_a_dead_process_leaves_behind_is_ended(
    supervisor: Supervisor, said: Said, tmp_path: Path
) -> None:
    child = tmp_path / "child"
    supervisor.add_process("worker", ["sh", "-c", f"sleep 1000 & echo $! > {child}; wait"])
    supervisor.start()
    assert wait_until(lambda: child.exists() and child.read_text().endswith("\n"), HANG_SECONDS)
    pid = int(child.read_text())
    os.kill(supervisor.pids()["worker"], signal.SIGKILL)
    tick_until(supervisor, lambda: bool(said))
    assert wait_until(lambda: not exists(pid), HANG_SECONDS)


def test_a_killed_server_is_started_again_for_the_same_clients(
    supervisor: Supervisor, said: Said, private_postgres: EmbeddedPostgres
) -> None:
    supervisor.add_server(private_postgres)
    supervisor.start()
    url, first = private_postgres.app_url, supervisor.pids()["postgres"]
    os.kill(first, signal.SIGKILL)
    tick_until(supervisor, lambda: any("restarted" in line for line in said))
    assert said[0] == "postgres died (signal 9), restarting in 0.2 s"
    assert private_postgres.app_url == url
    assert supervisor.pids()["postgres"] != first


# Asked to stop, a part reports whether it could still reach each of the servers.
LAST_WORDS = """
import signal, socket, sys

def stop(*_):
    for port in sys.argv[2:]:
        socket.create_connection(("127.0.0.1", int(port)), 5).close()
    open(sys.argv[1], "w").write("both servers were up")
    sys.exit()

signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
while True:
    signal.pause()
"""


def test_parts_stop_before_nats_and_nats_before_postgres(
    supervisor: Supervisor,
    private_postgres: EmbeddedPostgres,
    private_nats: EmbeddedNats,
    tmp_path: Path,
) -> None:
    words = tmp_path / "words"
    ports = [str(server.state.port) for server in (private_postgres, private_nats)]
    supervisor.add_server(private_postgres)
    supervisor.add_server(private_nats)
    supervisor.add_process("part", [sys.executable, "-c", LAST_WORDS, str(words), *ports])
    supervisor.start()
    assert wait_until(lambda: "ready" in (tmp_path / "part.log").read_text(), HANG_SECONDS)
    supervisor.stop()
    assert words.read_text() == "both servers were up"
    assert supervisor.pids() == {}
    ended = [server.log.stat().st_mtime_ns for server in (private_nats, private_postgres)]
    assert ended == sorted(ended)


def test_a_process_that_does_not_stop_is_killed(supervisor: Supervisor, said: Said) -> None:
    supervisor.add_process(
        "deaf", ["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"]
    )
    supervisor.add_process("good", SLEEPER)
    supervisor.start()
    pids = supervisor.pids()
    deaf_log = supervisor.log_of("deaf")
    assert wait_until(lambda: deaf_log.read_text() == "deaf\n", HANG_SECONDS)
    supervisor.stop()
    assert said == ["deaf does not stop: killed"]
    assert not any(exists(pid) for pid in pids.values())


def test_run_watches_until_told_to_stop(supervisor: Supervisor, said: Said) -> None:
    stop = threading.Event()
    supervisor.add_process("brief", ["true"])
    supervisor.add_process("long", SLEEPER)

    def set_when_said() -> None:
        assert wait_until(lambda: len(said) > 1, HANG_SECONDS)
        stop.set()

    watcher = threading.Thread(target=set_when_said)
    watcher.start()
    supervisor.run(stop)
    watcher.join()
    assert "brief died (exit code 0), restarting in 0.2 s" in said
    assert supervisor.pids() == {}


def test_a_server_that_cannot_start_stops_what_was_started(
    supervisor: Supervisor, private_nats: EmbeddedNats
) -> None:
    supervisor.add_process("first", SLEEPER)
    supervisor.add_server(EmbeddedNats(private_nats.folder.parent))
    with pytest.raises(EmbeddedServerError, match="already in use"):
        supervisor.run(threading.Event())
    assert supervisor.pids() == {}
    assert private_nats.alive()


def test_logs_are_kept_and_echoed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "part.log").write_text("of an earlier run\n")
    supervisor = Supervisor(tmp_path, echo=True)
    supervisor.add_process("part", ["sh", "-c", "echo out; echo err >&2; printf half; sleep 1000"])
    supervisor.start()
    seen: list[str] = []

    def error_seen() -> bool:
        seen.append(capsys.readouterr().err)
        return "err" in "".join(seen)

    tick_until(supervisor, error_seen)
    supervisor.stop()
    assert "".join(seen) == "        part | out\n        part | err\n"
    assert (tmp_path / "part.log").read_text() == "of an earlier run\nout\nerr\nhalf"


def test_children_end_with_a_killed_supervisor(tmp_path: Path) -> None:
    code = (
        "import sys, threading; from pathlib import Path;"
        "from adapters.processes.supervisor import Supervisor;"
        "s = Supervisor(Path(sys.argv[1])); s.add_process('a', ['sleep', '1000']);"
        "s.start(); print(s.pids()['a'], flush=True); s.run(threading.Event())"
    )
    argv = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        pid = int(process.stdout.readline())
        assert exists(pid)
        process.kill()
    assert wait_until(lambda: not exists(pid), HANG_SECONDS)
