"""Files that are being downloaded, of which no two calls write the same."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows: there, two calls at once may have to start again
    fcntl = None  # type: ignore[assignment]

SHOWN = 12
"""Characters of a digest in a name: pieces of two files are never put together."""


class Partial:
    """An open file beside its target, whose name it gets once it is whole."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self._file = path, file

    @property
    def size(self) -> int:
        """The bytes that are there."""
        self._file.flush()
        return os.fstat(self._file.fileno()).st_size

    def write(self, piece: bytes) -> None:
        """Write behind what is there."""
        self._file.write(piece)

    def written(self) -> Path:
        """The file, with all that was written to it."""
        self._file.flush()
        return self.path

    def empty(self) -> None:
        """Start again."""
        self._file.flush()
        self._file.truncate(0)

    def discard(self) -> None:
        """Delete it."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def move_to(self, target: Path) -> None:
        """Put it in the place of a file, before another call may write to it."""
        self._file.flush()
        if fcntl is None:
            self._file.close()
        self.path.replace(target)


@contextmanager
def partial_of(target: Path, digest: str | None) -> Iterator[Partial]:
    """What an earlier call left of a file with this digest; another call that writes it is waited
    for. Without a digest, a file of this call alone, of which nothing is left."""
    name = uuid.uuid4().hex if digest is None else digest
    path = target.with_name(f".{target.name}.{name[:SHOWN]}.partial")
    with _locked(path) as file:
        partial = Partial(path, file)
        try:
            yield partial
        finally:
            if _is_at(file, path) and (digest is None or not partial.size):
                partial.discard()


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    """The file at a path, opened to be written by one call at a time."""
    while True:
        with path.open("ab") as file:
            if fcntl is not None:
                with suppress(OSError):  # of a file system without locks
                    fcntl.flock(file, fcntl.LOCK_EX)
            if _is_at(file, path):
                yield file
                return


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Whether an open file is still the one at a path, and not moved away by another call."""
    if file.closed:
        return False
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
