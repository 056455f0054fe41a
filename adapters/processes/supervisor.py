"""The supervisor of servers and processes: it restarts and reports those that die, and stops all in
order."""

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
STUCK_CHECK_SECONDS = 2.0
"""The interval of checks whether a server is alive or stuck."""

log = logging.getLogger(__name__)


class Server(Protocol):
    """A server that can be supervised, such as `EmbeddedPostgres` and `EmbeddedNats`."""

    @property
    def name(self) -> str: ...
    @property
    def log(self) -> Path: ...
    @property
    def pid(self) -> int | None: ...
    @property
    def returncode(self) -> int | None: ...
    def alive(self) -> bool: ...
    def stuck(self) -> str | None: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


@dataclass
class Backoff:
    """The wait before each restart: it doubles, and is reset after a run of `forget_after`
    seconds."""

    first: float = 0.2
    most: float = 5.0
    forget_after: float = 10.0
    _next: float = field(default=0.0, init=False)

    def after_life_of(self, seconds: float) -> float:
        """The wait after a process that ran for `seconds`."""
        if seconds >= self.forget_after or self._next == 0.0:
            self._next = self.first
        wait = self._next
        self._next = min(wait * 2, self.most)
        return wait


class Process:
    """A service of the product: a command in a process group of its own."""

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
        """Whether it runs. If it does not, its group is killed: no torch child outlives its
        worker."""
        if self._child is not None and self._child.poll() is None:
            return True
        self._kill_group()
        return False

    def stuck(self) -> str | None:
        """Unknown: a service restarts its own work."""
        return None

    def start(self) -> None:
        self._child = spawn(self._argv, log=self.log, env=self._env)
        self._group = self._child.pid

    def terminate(self) -> None:
        """Send SIGTERM, without waiting."""
        if self._child is not None and self._child.poll() is None:
            self._child.terminate()

    def ended_within(self, seconds: float) -> bool:
        return wait_until(lambda: not self.alive(), seconds)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Send SIGTERM; after `seconds`, kill it with all its children."""
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
class _Supervised:
    """A server or process, the time of its last start and that of its next restart."""

    server: Server
    backoff: Backoff = field(default_factory=Backoff)
    started: float = 0.0
    checked: float = 0.0
    restart_at: float | None = None
    log_offset: int = 0


class Supervisor:
    """Runs servers and processes. Use it from the main thread: only then do children end with this
    process, however it ends (`adapters.processes.processes.can_die_with_parent`).

    `report` receives a line for each death, restart and stop. `echo` prints the children's logs
    too.
    """

    def __init__(
        self,
        logs: Path,
        report: Callable[[str], None] = log.info,
        *,
        echo: bool = False,
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        self._logs = logs
        self._report = report
        self._echo = echo
        self._stop_seconds = stop_seconds
        self._servers: list[Server] = []
        self._processes: list[Process] = []
        self._ending_first: list[Process] = []
        self._supervised: list[_Supervised] = []

    def add_server(self, server: Server) -> None:
        """Supervise a server, started or not. Servers are stopped in reverse order."""
        self._servers.append(server)
        self._supervised.append(_Supervised(server, started=time.monotonic()))

    def add_process(
        self,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str] | None = None,
        *,
        ends_first: bool = False,
    ) -> None:
        """Supervise a command; `env` is its whole environment, by default that of this process. One
        that `ends_first` needs others to end: they are stopped once it has."""
        environment = dict(os.environ) if env is None else env
        process = Process(name, argv, environment, self.log_of(name))
        (self._ending_first if ends_first else self._processes).append(process)
        self._supervised.append(_Supervised(process))

    def log_of(self, name: str) -> Path:
        """The file to which a process's output is appended."""
        return self._logs / f"{name}.log"

    def pids(self) -> dict[str, int]:
        """The pids of all running servers and processes, by name."""
        alive = [supervised.server for supervised in self._supervised if supervised.server.alive()]
        return {server.name: server.pid for server in alive if server.pid is not None}

    def run(self, stop: threading.Event) -> None:
        """Start all, supervise until `stop` is set, then stop all, also after an exception."""
        try:
            self.start()
            while not stop.wait(POLL_SECONDS):
                self.tick()
        finally:
            self.stop()

    def start(self) -> None:
        """Start what does not run yet, in the order of adding."""
        for supervised in self._supervised:
            if self._echo and supervised.server.log.exists():
                supervised.log_offset = supervised.server.log.stat().st_size
            if not supervised.server.alive():
                supervised.server.start()
                supervised.started = time.monotonic()

    def tick(self) -> None:
        """Check each once: schedule a restart of those that died or are stuck, and do restarts that
        are due."""
        for supervised in self._supervised:
            if self._echo:
                self._echo_log(supervised)
            if supervised.restart_at is not None:
                if time.monotonic() >= supervised.restart_at:
                    self._restart(supervised)
            elif not supervised.server.alive():
                self._schedule(supervised, f"died ({describe_exit(supervised.server.returncode)})")
            elif reason := self._stuck(supervised):
                supervised.server.stop()
                self._schedule(supervised, f"was stuck ({reason})")

    def stop(self) -> None:
        """Terminate all processes, the last added first, kill those that do not end, and stop the
        servers."""
        with contextlib.ExitStack() as servers:
            for server in self._servers:
                servers.callback(server.stop)
            deadline = time.monotonic() + self._stop_seconds
            for processes in (self._ending_first, self._processes):
                for process in reversed(processes):
                    process.terminate()
                for process in reversed(processes):
                    if not process.ended_within(deadline - time.monotonic()):
                        self._report(f"{process.name} does not stop: killed")
                    process.stop(0)

    def _stuck(self, supervised: _Supervised) -> str | None:
        now = time.monotonic()
        if now - supervised.checked < STUCK_CHECK_SECONDS:
            return None
        supervised.checked = now
        return supervised.server.stuck()

    def _schedule(self, supervised: _Supervised, what: str) -> None:
        now = time.monotonic()
        wait = supervised.backoff.after_life_of(now - supervised.started)
        supervised.restart_at = now + wait
        self._report(f"{supervised.server.name} {what}, restarting in {wait:g} s")

    def _restart(self, supervised: _Supervised) -> None:
        supervised.started = time.monotonic()
        supervised.restart_at = None
        try:
            supervised.server.start()
        except Exception as error:
            self._schedule(supervised, f"could not be started ({error})")
        else:
            self._report(f"{supervised.server.name} restarted (pid {supervised.server.pid})")

    def _echo_log(self, supervised: _Supervised) -> None:
        """Print the new lines of a log, complete lines only, with its name."""
        try:
            with supervised.server.log.open("rb") as file:
                if os.fstat(file.fileno()).st_size < supervised.log_offset:
                    supervised.log_offset = 0
                file.seek(supervised.log_offset)
                whole, newline, _ = file.read().rpartition(b"\n")
        except FileNotFoundError:
            return
        supervised.log_offset += len(whole) + len(newline)
        for line in whole.decode(errors="replace").splitlines():
            print(f"{supervised.server.name:>12} | {line}", file=sys.stderr)
