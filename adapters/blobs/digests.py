"""Streams of bytes checked against the sha256 that names them."""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path


class BlobCorrupt(Exception):
    """The bytes under a digest are not the bytes that the digest names."""


class Total:
    """The digest and the size in bytes of a stream that has passed."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()

    def counting(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._hash.update(chunk)
            self.size += len(chunk)
            yield chunk


def verified(digest: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks, then `BlobCorrupt` if together they are not what the digest names."""
    total = Total()
    yield from total.counting(chunks)
    if total.digest != digest:
        raise corrupt(digest)


def corrupt(digest: str) -> BlobCorrupt:
    return BlobCorrupt(f"blob {digest} does not have the content its name promises")


def write_whole(path: Path, chunks: Iterable[bytes]) -> None:
    """Write to a neighbour that takes the name only once it is complete."""
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            for chunk in chunks:
                file.write(chunk)
            file.close()
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink()
            raise
