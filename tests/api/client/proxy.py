"""A TCP proxy before a server that cuts connections where it is told to, or answers itself."""

import socket
import socketserver
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import ClassVar

Action = Callable[[socket.socket, bytes, "Proxy"], None]
"""What is done with a client's connection and its whole request."""

PIECE = 1 << 16


def passes(client: socket.socket, request: bytes, proxy: "Proxy") -> None:
    """The request and its answer pass."""
    for piece in proxy.answer(request):
        client.sendall(piece)


def cut_before(_client: socket.socket, _request: bytes, _proxy: "Proxy") -> None:
    """The request never reaches the server."""


def cut_after(_client: socket.socket, request: bytes, proxy: "Proxy") -> None:
    """The server carries the request out, and its answer is lost."""
    next(proxy.answer(request))


def cut_at(byte: int) -> Action:
    """The answer ends after so many bytes."""

    def cut(client: socket.socket, request: bytes, proxy: "Proxy") -> None:
        client.sendall(b"".join(proxy.answer(request))[:byte])

    return cut


def cut_behind_head(share: float) -> Action:
    """The answer ends after its head and this share of its body."""

    def cut(client: socket.socket, request: bytes, proxy: "Proxy") -> None:
        head, end, body = b"".join(proxy.answer(request)).partition(b"\r\n\r\n")
        client.sendall(head + end + body[: int(len(body) * share)])

    return cut


def answers(status: str, body: bytes, media_type: str, *headers: str) -> Action:
    """The proxy answers, and the server never sees the request."""

    def answer(client: socket.socket, _request: bytes, _proxy: "Proxy") -> None:
        lines = [
            f"HTTP/1.1 {status}",
            f"Content-Type: {media_type}",
            f"Content-Length: {len(body)}",
            "Connection: close",
            *headers,
            "",
            "",
        ]
        client.sendall("\r\n".join(lines).encode() + body)

    return answer


def replaces(old: bytes, new: bytes) -> Action:
    """The answer passes, altered."""
    assert len(old) == len(new)

    def replace(client: socket.socket, request: bytes, proxy: "Proxy") -> None:
        client.sendall(b"".join(proxy.answer(request)).replace(old, new))

    return replace


class _Handler(socketserver.BaseRequestHandler):
    proxy: ClassVar["Proxy"]

    def handle(self) -> None:
        with suppress(OSError, StopIteration):
            request = _whole_request(self.request)
            if request:
                self.proxy.take(request)(self.request, request, self.proxy)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class Proxy:
    """A proxy at `url`. The next connections are treated by `actions`, the others pass.

    Each connection has one request. `requests` are those that came, and `rule` is asked first.
    """

    def __init__(self, server_url: str) -> None:
        host, port = server_url.removeprefix("http://").split(":")
        self._address = host, int(port)
        self.actions = deque[Action]()
        self.requests: list[bytes] = []
        self.rule: Callable[[bytes], Action | None] = lambda _: None
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator["Proxy"]:
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def take(self, request: bytes) -> Action:
        self.requests.append(request)
        return self.rule(request) or (self.actions.popleft() if self.actions else passes)

    def answer(self, request: bytes) -> Iterator[bytes]:
        """The server's answer, in pieces."""
        first, _, rest = request.partition(b"\r\n")
        with socket.create_connection(self._address) as server:
            server.sendall(first + b"\r\nConnection: close\r\n" + rest)
            while piece := server.recv(PIECE):
                yield piece


def _whole_request(client: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        if not (piece := client.recv(PIECE)):
            return b""
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    headers = head.lower()
    if b"transfer-encoding: chunked" in headers:
        while not body.endswith(b"0\r\n\r\n"):
            body += client.recv(PIECE)
    elif b"content-length: " in headers:
        length = int(headers.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while len(body) < length:
            body += client.recv(PIECE)
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
