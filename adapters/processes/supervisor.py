"""Keeps servers and processes running: restarts what dies, says so, and stops all in order."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from adapters.processes.processes import describe_exit, spawn, wait_until

POLL_SECONDS = 0.05
STOP_SECONDS = 10.0

log = logging.getLogger(__name__)


class Server(Protocol):
    """What can be supervised; `EmbeddedPostgres` and `EmbeddedNats` are such."""

    @property
    def name(self) -> str: ...
    @property
    def log(self) -> Path: ...
    @property
    def pid(self) -> int | None: ...
    @property
    def returncode(self) -> int | None: ...
    def alive(self) -> bool: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


@dataclass
class Backoff:
    """How long to wait before each restart: doubling, until a life was long enough to forget."""

    first: float = 0.2
    most: float = 5.0
    forget_after: float = 10.0
    _next: float = field(default=0.0, init=False)

    def after_life_of(self, seconds: float) -> float:
        """The wait after a process that lived so long."""
        if seconds >= self.forget_after or self._next == 0.0:
            self._next = self.first
        wait = self._next
        self._next = min(wait * 2, self.most)
        return wait


class Process:
    """One of the product's parts: a command in a process group of its own."""

    def __init__(self, name: str, argv: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self._argv = argv
        self._env = env
        self._child: subprocess.Popen[bytes] | None = None
        self._group: int | None = None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    @property
    def returncode(self) -> int | None:
        return self._child.returncode if self._child else None

    def alive(self) -> bool:
        """Whether it runs. Once it is dead, so is its group: no torch child outlives its worker."""
        if self._child is not None and self._child.poll() is None:
            return True
        self._kill_group()
        return False

    def start(self) -> None:
        self._child = spawn(self._argv, log=self.log, env=self._env)
        self._group = self._child.pid

    def terminate(self) -> None:
        """Ask it to stop, without waiting."""
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()

    def ended_within(self, seconds: float) -> bool:
        return wait_until(lambda: not self.alive(), seconds)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Ask it to stop and, when the time is over, kill it with all its children."""
        self.terminate()
        if not self.ended_within(seconds):
            self._kill_group()

    def _kill_group(self) -> None:
        if self._child is not None and self._group is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._group, signal.SIGKILL)
            self._child.wait()
            self._group = None


@dataclass
class _Watched:
    """A server or process, with when it began to live and when it is to live again."""

    server: Server
    backoff: Backoff = field(default_factory=Backoff)
    started: float = 0.0
    restart_at: float | None = None
    shown: int = 0


class Supervisor:
    """Runs servers, then processes. Use it from the main thread: only then do children end with
    this process however it ends (`adapters.processes.processes.can_die_with_parent`).

    `say` is told each death, restart and stop in one line. `echo` shows the children's logs too.
    """

    def __init__(
        self,
        logs: Path,
        say: Callable[[str], None] = log.info,
        *,
        echo: bool = False,
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        self._logs = logs
        self._say = say
        self._echo = echo
        self._stop_seconds = stop_seconds
        self._servers: list[Server] = []
        self._processes: list[Process] = []
        self._watched: list[_Watched] = []

    def add_server(self, server: Server) -> None:
        """Supervise a server, already started or not. Those added first are stopped last."""
        self._servers.append(server)
        self._watched.append(_Watched(server, started=time.monotonic()))

    def add_process(
        self, name: str, argv: Sequence[str], env: Mapping[str, str] | None = None
    ) -> None:
        """Supervise a command; `env` is its whole environment, ours if there is none."""
        environment = dict(os.environ) if env is None else env
        process = Process(name, argv, environment, self.log_of(name))
        self._processes.append(process)
        self._watched.append(_Watched(process))

    def log_of(self, name: str) -> Path:
        """The file that a process's output is appended to."""
        return self._logs / f"{name}.log"

    def pids(self) -> dict[str, int]:
        """The pid of everything that is alive now, by name."""
        alive = [watched.server for watched in self._watched if watched.server.alive()]
        return {server.name: server.pid for server in alive if server.pid is not None}

    def run(self, stop: threading.Event) -> None:
        """Start all, watch until `stop` is set, then stop all, also when anything raises."""
        try:
            self.start()
            while not stop.wait(POLL_SECONDS):
                self.tick()
        finally:
            self.stop()

    def start(self) -> None:
        """Start what does not run yet, in the order it was added."""
        for watched in self._watched:
            if self._echo and watched.server.log.exists():
                watched.shown = watched.server.log.stat().st_size
            if not watched.server.alive():
                watched.server.start()
                watched.started = time.monotonic()

    def tick(self) -> None:
        """Look at each once: notice a death, restart what has waited long enough."""
        for watched in self._watched:
            if self._echo:
                self._show(watched)
            if watched.restart_at is not None:
                if time.monotonic() >= watched.restart_at:
                    self._restart(watched)
            elif not watched.server.alive():
                self._schedule(watched, f"died ({describe_exit(watched.server.returncode)})")

    def stop(self) -> None:
        """Ask all processes to stop, the last added first; kill those that do not; then servers."""
        with contextlib.ExitStack() as servers:
            for server in self._servers:
                servers.callback(server.stop)
            for process in reversed(self._processes):
                process.terminate()
            deadline = time.monotonic() + self._stop_seconds
            for process in reversed(self._processes):
                if not process.ended_within(deadline - time.monotonic()):
                    self._say(f"{process.name} does not stop: killed")
                process.stop(0)

    def _schedule(self, watched: _Watched, what: str) -> None:
        now = time.monotonic()
        wait = watched.backoff.after_life_of(now - watched.started)
        watched.restart_at = now + wait
        self._say(f"{watched.server.name} {what}, restarting in {wait:g} s")

    def _restart(self, watched: _Watched) -> None:
        watched.started = time.monotonic()
        watched.restart_at = None
        try:
            watched.server.start()
        except Exception as error:
            self._schedule(watched, f"could not be started ({error})")
        else:
            self._say(f"{watched.server.name} restarted (pid {watched.server.pid})")

    def _show(self, watched: _Watched) -> None:
        """Print what a log has gained, whole lines only, under its name."""
        try:
            with watched.server.log.open("rb") as file:
                if os.fstat(file.fileno()).st_size < watched.shown:
                    watched.shown = 0
                file.seek(watched.shown)
                whole, newline, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return
        watched.shown += len(whole) + len(newline)
        for line in whole.decode(errors="replace").splitlines():
            print(f"{watched.server.name:>12} | {line}", file=sys.stderr)
