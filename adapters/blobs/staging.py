"""Contents that may become blobs: written beside those of a folder, and renamed once they do."""

import hashlib
import io
import shutil
from contextlib import suppress
from pathlib import Path


class Staging:
    """A folder in a blob store's file system, with a file for each content, named by its sha256.

    Nothing here is durable: what a process that was killed has left must be written again.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, data: bytes) -> str:
        """Write a content; return its sha256 in hexadecimal. Raises `OSError`."""
        digest = hashlib.sha256(data).hexdigest()
        path = f"{self._folder}/{digest}"
        try:
            _write(path, data)
        except FileNotFoundError:
            self._folder.mkdir(parents=True, exist_ok=True)
            _write(path, data)
        return digest

    def path(self, digest: str) -> Path:
        return self._folder / digest

    def delete(self) -> None:
        """Delete what did not become a blob."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self._folder)


def _write(path: str, data: bytes) -> None:
    # A `Path` takes as long to make as a small file to write.
    with io.BufferedWriter(io.FileIO(path, "w")) as file:
        file.write(data)
