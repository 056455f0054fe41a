"""A receiver of webhooks on loopback, which answers as a test says and remembers what came."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
from standardwebhooks import Webhook as Verifier

from tests.adapters.running import eventually


class Received(msgspec.Struct, frozen=True):
    """A message as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def sequence(self) -> int:
        return int(self.event["sequence"])

    def verify(self, secret: str) -> None:
        """Raises `WebhookVerificationError`."""
        Verifier(secret).verify(self.body, self.headers)


class Reply(msgspec.Struct, frozen=True):
    status: int = 204
    headers: dict[str, str] = {}
    endless: bool = False


OK = Reply()


class Receiver:
    """`reply` says what to answer, and may take its time."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.got: list[Received] = []
        self.reply: Callable[[Received], Reply] = lambda _: OK
        self.over = threading.Event()
        self.written = 0
        self.hung_up = threading.Event()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}/{path}"

    def at(self, path: str) -> list[Received]:
        """What came to a path, in order."""
        return [one for one in self.got if one.path == f"/{path}"]

    def sequences(self, path: str) -> list[int]:
        return [one.sequence for one in self.at(path)]

    def wait(self, path: str, count: int) -> list[Received]:
        """Wait until so much has come to a path."""
        eventually(lambda: len(self.at(path)) >= count)
        return self.at(path)


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver that hangs up when the test is over, even where it was still to answer."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received = Received(self.path, dict(self.headers.items()), body)
            receiver.got.append(received)
            reply = receiver.reply(received)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.endless:
                self.end_headers()
                self._go_on()
                return
            if reply.status != 204:
                self.send_header("Content-Length", "0")
            self.end_headers()

        def _go_on(self) -> None:
            """Write for as long as somebody reads."""
            self.close_connection = True
            with suppress(OSError):
                while not receiver.over.is_set():
                    receiver.written += self.wfile.write(b"x" * 65536)
            receiver.hung_up.set()

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    receiver = Receiver(server.server_port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.over.set()
        server.shutdown()
        thread.join()
        server.server_close()
