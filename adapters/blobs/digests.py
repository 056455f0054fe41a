"""Verification of streams of bytes by their sha256."""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path


class BlobCorrupt(Exception):
    """The content of a blob does not have the blob's digest."""


class StreamDigest:
    """The sha256 and the size in bytes of a stream."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def update(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same chunks; digest and size include each one that was yielded."""
        for chunk in chunks:
            self._hash.update(chunk)
            self.size += len(chunk)
            yield chunk


def verified(digest: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same chunks. Raises `BlobCorrupt` after the last one if their digest is another."""
    stream = StreamDigest()
    yield from stream.update(chunks)
    if stream.digest != digest:
        raise corrupt(digest)


def corrupt(digest: str) -> BlobCorrupt:
    return BlobCorrupt(f"blob {digest} does not have the content of its digest")


def write_whole(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file atomically: a temporary file in the same folder gets the name at the end."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            for chunk in chunks:
                file.write(chunk)
            file.close()
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink()
            raise
