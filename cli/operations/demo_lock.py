"""The lifetime of a system that a demo started: until no demo runs, by a lock of processes.

Each demo holds a shared lock of `demo.lock` from before it looks for a running system until its
end, however it ends. `stemma up --until-demos-end` waits for the exclusive lock, gets it once no
demo is left, and stops. Its end releases the lock, so that a demo that starts meanwhile waits. The
file's content is the lifetime of the running `up`.
"""

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from adapters.processes.processes import wait_until
from adapters.servers.embedded import is_held
from adapters.settings import LOCK_FILE

DEMO_LOCK = "demo.lock"
UNTIL_DEMOS_END, KEEP = b"until demos end\n", b"keep\n"
STOP_SECONDS = 30.0


def begin(data: Path, stop: threading.Event | None) -> None:
    """Called by the folder's `up`: set `stop`, if there is one, once no demo runs."""
    lock = _open(data)
    _write(lock, b"" if stop is None else UNTIL_DEMOS_END)
    if stop is None:
        os.close(lock)
        return

    def wait() -> None:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _read(lock) == KEEP:
            os.close(lock)
        else:
            stop.set()

    threading.Thread(target=wait, name="until demos end", daemon=True).start()


def keeps_running(data: Path) -> bool:
    """Whether the folder's system stays after the last demo: it is no demo's, or kept."""
    lock = _open(data)
    try:
        return _read(lock) != UNTIL_DEMOS_END
    finally:
        os.close(lock)


class LivingDemo:
    """A running demo, which holds the shared lock."""

    def __init__(self, lock: int) -> None:
        self._lock = lock

    def keep_running(self) -> None:
        """Keep the system running after the last demo."""
        _write(self._lock, KEEP)


@contextlib.contextmanager
def living_demo(data: Path, say: Callable[[str], None]) -> Iterator[LivingDemo]:
    """Begin once no system is stopping; at the end wait for the system that stops with this
    demo."""
    lock = _open(data)
    if not _try(lock, fcntl.LOCK_SH):
        say("Waiting until the servers of an earlier demo have stopped")
        fcntl.flock(lock, fcntl.LOCK_SH)
    try:
        yield LivingDemo(lock)
    finally:
        os.close(lock)
        wait_until(lambda: _is_over(data), STOP_SECONDS)


def _is_over(data: Path) -> bool:
    """Whether no system is stopping: it has stopped, or will keep running."""
    if not is_held(data / LOCK_FILE):
        return True
    lock = _open(data)
    try:
        if _read(lock) != UNTIL_DEMOS_END:
            return True
        # Either no demo is left and `up` has the exclusive lock or is about to get it, or another
        # demo is running.
        return not _try(lock, fcntl.LOCK_EX) and _try(lock, fcntl.LOCK_SH)
    finally:
        os.close(lock)


def _open(data: Path) -> int:
    data.mkdir(parents=True, exist_ok=True)
    return os.open(data / DEMO_LOCK, os.O_RDWR | os.O_CREAT, 0o600)


def _try(lock: int, how: int) -> bool:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(lock: int) -> bytes:
    return os.pread(lock, 100, 0)


def _write(lock: int, content: bytes) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, content, 0)
