"""A client of HTTP/1.1 that costs little itself: raw sockets, requests written once.

What it receives is acknowledged at once. A server that sends head and body apart, as MLflow's does,
otherwise waits 40 ms for that before it sends the body.
"""

import json
import selectors
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

SECONDS = 30.0
IDLE_SECONDS = 3.0
"""A connection that was not used for longer is opened anew: some servers close it after five."""


class Refused(Exception):
    """An answer that is no success."""


def request(
    host: str, method: str, path: str, headers: Mapping[str, str], body: object = None
) -> bytes:
    """A request as it is sent."""
    content = b"" if body is None else json.dumps(body).encode()
    fields = {"Host": host, "Content-Length": str(len(content)), **headers}
    if body is not None:
        fields["Content-Type"] = "application/json"
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + content


class Answer:
    """An answer as it comes."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._length = 0
        self._body = -1

    def take(self, data: bytes) -> bool:
        """Whether it is complete with these bytes. Raises `Refused`."""
        if not data:
            raise Refused("the server closed the connection")
        self._received += data
        if self._body < 0 and (end := self._received.find(b"\r\n\r\n")) >= 0:
            self._body = end + 4
            head = self._received[:end].lower()
            _, _, rest = bytes(head).partition(b"content-length:")
            if not rest:
                raise Refused(f"no length: {head.decode()}")
            self._length = int(rest.partition(b"\r\n")[0])
        complete = self._body >= 0 and len(self._received) >= self._body + self._length
        if complete and not self._received.startswith(b"HTTP/1.1 2"):
            raise Refused(self._received.decode())
        return complete

    @property
    def body(self) -> bytes:
        return bytes(self._received[self._body :])


class Client:
    """One connection of an API, kept open."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname or "", parts.port or 80
        self._headers = headers
        self._socket = self._connect()
        self._used = time.monotonic()

    def _connect(self) -> socket.socket:
        made = socket.create_connection(self._address, SECONDS)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def written(self, method: str, path: str, body: object = None) -> bytes:
        host, port = self._address
        return request(f"{host}:{port}", method, path, self._headers, body)

    def send(self, written: bytes) -> bytes:
        """The body of the answer. Raises `Refused`."""
        if time.monotonic() - self._used > IDLE_SECONDS:
            self._socket.close()
            self._socket = self._connect()
        self._used = time.monotonic()
        self._socket.sendall(written)
        answer = Answer()
        while not answer.take(_received(self._socket)):
            pass
        return answer.body

    def call(self, method: str, path: str, body: object = None) -> Any:
        return json.loads(self.send(self.written(method, path, body)))

    def hammer(self, written: bytes, connections: int, seconds: float) -> float:
        """Answers a second to requests that as many connections send, each after its answer, for
        `seconds` and at least one answer."""
        with _connected(self._connect, connections) as (selector, sockets):
            answers = {one: Answer() for one in sockets}
            for each in sockets:
                each.sendall(written)
            began, count = time.perf_counter(), 0
            while (spent := time.perf_counter() - began) < seconds or count == 0:
                for key, _ in selector.select(1.0):
                    one = key.fileobj
                    assert isinstance(one, socket.socket)
                    if answers[one].take(_received(one)):
                        count += 1
                        answers[one] = Answer()
                        one.sendall(written)
        return count / spent

    def close(self) -> None:
        self._socket.close()


def _received(connection: socket.socket) -> bytes:
    # The kernel forgets it.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    return connection.recv(1 << 18)


@contextmanager
def _connected(
    connect: Callable[[], socket.socket], count: int
) -> Iterator[tuple[selectors.BaseSelector, list[socket.socket]]]:
    with selectors.DefaultSelector() as selector:
        sockets = [connect() for _ in range(count)]
        for one in sockets:
            selector.register(one, selectors.EVENT_READ)
        try:
            yield selector, sockets
        finally:
            for one in sockets:
                one.close()
