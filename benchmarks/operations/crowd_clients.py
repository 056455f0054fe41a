"""Clients that crowd an API: half-open connections, queries that wait, uploads of huge images.

Started by `crowd.py` in a process of its own, so that they share no lock with what is measured. It
prints a line once all are there, and ends when its standard input has and all is answered.
"""

import io
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

import httpx
import msgspec
from PIL import Image

from cli.client import authorization

HALF = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX: "
ABSURD = 4611686018427387904
ANSWER_SECONDS = 600.0


class Task(msgspec.Struct, frozen=True):
    """So many clients of a kind; `side` is that of the square images in pixels."""

    kind: str
    count: int
    port: int
    key: str
    project_id: str
    side: int


def run(task: Task) -> None:
    """Crowd the API until standard input ends."""
    client = {"half-open": _half_open, "waiting": _waiting, "uploading": _uploading}[task.kind]
    begun = threading.Barrier(task.count + 1)
    stop = threading.Event()
    act = client(task, begun, stop)
    threads = [threading.Thread(target=act, daemon=True) for _ in range(task.count)]
    for thread in threads:
        thread.start()
    begun.wait()
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    sys.stdin.read()
    stop.set()
    if client is not _half_open:
        for thread in threads:
            thread.join()


def _half_open(task: Task, begun: threading.Barrier, stop: threading.Event) -> Callable[[], None]:
    def hold() -> None:
        is_first = True
        while not stop.is_set():
            with (
                suppress(OSError),
                socket.create_connection(("127.0.0.1", task.port), ANSWER_SECONDS) as connection,
            ):
                connection.sendall(HALF)
                if is_first:
                    begun.wait()
                    is_first = False
                connection.recv(1)  # until it is cut off
            stop.wait(1.0)

    return hold


def _waiting(task: Task, begun: threading.Barrier, _: threading.Event) -> Callable[[], None]:
    return _asking(
        task,
        begun,
        lambda http: http.get(f"/projects?at_least={ABSURD}").status_code == 422,
    )


def _uploading(task: Task, begun: threading.Barrier, _: threading.Event) -> Callable[[], None]:
    file = io.BytesIO()
    Image.new("RGBA", (task.side, task.side), (1, 200, 3, 100)).save(file, "PNG")
    files = {"files": ("huge.png", file.getvalue(), "image/png")}
    path = f"/projects/{task.project_id}/images"
    return _asking(task, begun, lambda http: http.post(path, files=files).is_success)


def _asking(
    task: Task, begun: threading.Barrier, ask: Callable[[httpx.Client], bool]
) -> Callable[[], None]:
    def once() -> None:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{task.port}/api/v1",
            headers=authorization(task.key),
            timeout=ANSWER_SECONDS,
            trust_env=False,
        ) as http:
            begun.wait()
            if not ask(http):
                sys.stderr.write("an answer was another one than expected\n")

    return once


if __name__ == "__main__":
    threading.stack_size(256 << 10)
    run(msgspec.json.decode(sys.argv[1], type=Task))
