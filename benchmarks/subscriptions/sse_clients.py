"""The clients of `sse`: many clients of the feed in a process of their own.

They do as little as possible, so that the server is measured. The process reads a `Task` from
stdin, prints `ready` when all are connected, and writes the times at which each client received
each event.
"""

import asyncio
import re
import sys
import time
from typing import cast

import msgspec
import uvloop

FRAME = re.compile(rb"id: (\d+)\nevent: ")
LONGEST_MARK = 64
PATIENCE_SECONDS = 120.0
LENGTH = re.compile(rb"content-length: (\d+)\r\n(?:.*?\r\n)?\r\n", re.DOTALL)
SEQUENCE = re.compile(rb'"sequence":"(\d{19})"')


class Task(msgspec.Struct, frozen=True):
    """The number of clients, each of which receives the events of a range of positions, from a
    stream or by polling."""

    port: int
    key: str
    clients: int
    first: int
    last: int
    poll_seconds: float | None = None


class Client(asyncio.Protocol):
    """Records when it received each event; fails if one is missing, duplicate or out of order."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.seconds: list[float] = []
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.done: asyncio.Future[list[float]] = asyncio.get_running_loop().create_future()
        self.unread = b""

    @property
    def position(self) -> int:
        """The position of the last event received."""
        return self.task.first + len(self.seconds) - 1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def ask(self, path: str) -> None:
        head = f"GET /api/v1{path} HTTP/1.1\r\nHost: localhost\r\n"
        key = f"Authorization: Bearer {self.task.key}\r\n"
        self.transport.write(f"{head}{key}\r\n".encode())

    def note(self, position: int, now: float) -> None:
        if position == self.position + 1:
            self.seconds.append(now)
        elif not self.done.done():
            self.done.set_exception(ValueError(f"{position} came after {self.position}"))
        if self.position == self.task.last and not self.done.done():
            self.done.set_result(self.seconds)
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError(f"cut after {self.position}: {exc}"))


class Follower(Client):
    """Reads a stream of server-sent events."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.ask(f"/events/stream?after={self.position}")

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if not self.ready.done():
            assert data.startswith(b"HTTP/1.1 200"), data
            self.ready.set_result(None)
        self.unread += data
        read = 0
        for match in FRAME.finditer(self.unread):
            self.note(int(match[1]), now)
            read = match.end()
        self.unread = self.unread[max(read, len(self.unread) - LONGEST_MARK) :]


class Poller(Client):
    """Requests pages one after another, at an interval."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.next_page()

    def next_page(self) -> None:
        if self.done.done():
            return
        self.requested_at = time.perf_counter()
        self.ask(f"/events?limit=1000&after={self.position}")

    def data_received(self, data: bytes) -> None:
        self.unread += data
        head = LENGTH.search(self.unread)
        if head is None or len(self.unread) < head.end() + int(head[1]):
            return
        assert self.unread.startswith(b"HTTP/1.1 200"), self.unread
        now = time.perf_counter()
        if not self.ready.done():
            self.ready.set_result(None)
        for match in SEQUENCE.finditer(self.unread):
            self.note(int(match[1]), now)
        self.unread = b""
        pause = self.requested_at + (self.task.poll_seconds or 0) - now
        asyncio.get_running_loop().call_later(max(0.0, pause), self.next_page)


async def all_clients(task: Task) -> list[list[float]]:
    loop = asyncio.get_running_loop()
    clients: list[Client] = []
    pause = (task.poll_seconds or 0) / task.clients
    kind = Follower if task.poll_seconds is None else Poller
    for _ in range(task.clients):
        _, client = await loop.create_connection(lambda: kind(task), "127.0.0.1", task.port)
        clients.append(client)
        await asyncio.sleep(pause)
    await asyncio.gather(*(client.ready for client in clients))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    return await asyncio.gather(*(client.done for client in clients))


def main() -> None:
    task = msgspec.json.decode(sys.stdin.buffer.readline(), type=Task)
    times = uvloop.run(asyncio.wait_for(all_clients(task), PATIENCE_SECONDS))
    # Not `sys.stdout`: with PYTHONUNBUFFERED, a write to it may be incomplete.
    with open(sys.stdout.fileno(), "wb", closefd=False) as answer:
        answer.write(msgspec.json.encode(times))


if __name__ == "__main__":
    main()
