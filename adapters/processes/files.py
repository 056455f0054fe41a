"""Files that processes of one machine share: secrets, and a lock that is waited for."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def waiting_lock(path: Path) -> Iterator[None]:
    """Wait until no other process holds the lock beside a path, and hold it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = os.open(path.with_name("lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def write_secret(path: Path, content: bytes, owner: int | None = None) -> None:
    """Write a file that only its owner reads; whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        if owner is not None:
            os.fchown(file.fileno(), owner, owner)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
