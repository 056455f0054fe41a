"""How long runs what a demo has started: until no demo lives, by a lock that ends with its holder.

Each demo shares the lock of `demo.lock` from before it looks for a running system until its end,
however that comes. `stemma up --until-demos-end` waits for the whole lock, has it once no demo is
left, and stops. It lets go of it by its own end, so that a demo that comes meanwhile waits. What
the file says is how long the `up` that runs is to go on.
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
    """As the `up` of the folder: set `stop`, if there is one, once no demo lives."""
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


class LivingDemo:
    """A demo that lives, to whoever looks at the lock."""

    def __init__(self, lock: int) -> None:
        self._lock = lock

    def keep_running(self) -> None:
        """Let what runs go on after the last demo."""
        _write(self._lock, KEEP)


@contextlib.contextmanager
def living_demo(data: Path, say: Callable[[str], None]) -> Iterator[LivingDemo]:
    """Begin once nothing is about to stop; in the end wait for what stops with this demo."""
    lock = _open(data)
    if not _try(lock, fcntl.LOCK_SH):
        say("Waiting until what an earlier demo started has stopped")
        fcntl.flock(lock, fcntl.LOCK_SH)
    try:
        yield LivingDemo(lock)
    finally:
        os.close(lock)
        wait_until(lambda: _is_over(data), STOP_SECONDS)


def _is_over(data: Path) -> bool:
    """Whether nothing stops any more: it has stopped, or is to go on."""
    if not is_held(data / LOCK_FILE):
        return True
    lock = _open(data)
    try:
        if _read(lock) != UNTIL_DEMOS_END:
            return True
        # No demo is left, and `up` is about to have the whole lock, or has it already; or else
        # another demo goes on.
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
