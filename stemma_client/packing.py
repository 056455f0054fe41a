"""A tar stream of a folder, for a client's upload: the same content gives the same bytes."""

from __future__ import annotations

import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

from stemma_client.errors import StemmaError

CHUNK = 1 << 20
BLOCK = tarfile.BLOCKSIZE


def pack(folder: Path) -> Iterator[bytes]:
    """The files of a folder, sorted, as a tar (POSIX.1-2001, pax); empty folders are left out.

    Raises `StemmaError` for a link, a device, or a file that shrinks while it is read.
    """
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        yield from _member(name, path)
    yield bytes(2 * BLOCK)


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            yield from _files(path)
        elif stat.S_ISREG(mode):
            yield path
        else:
            raise StemmaError(f"{path}: only files and folders can be uploaded; remove it")


def _member(name: str, path: Path) -> Iterator[bytes]:
    header = tarfile.TarInfo(name)
    with path.open("rb") as file:
        header.size = remaining = path.stat().st_size
        yield header.tobuf(tarfile.PAX_FORMAT)
        while remaining:
            chunk = file.read(min(CHUNK, remaining))
            if not chunk:
                raise StemmaError(f"{path}: the file shrank while it was read; try again")
            remaining -= len(chunk)
            yield chunk
    yield bytes(-header.size % BLOCK)


def pieces_of(source: Path) -> Iterator[bytes]:
    """The bytes to upload: a folder is packed; an archive or a video is sent unchanged."""
    if source.is_dir():
        yield from pack(source)
        return
    with source.open("rb") as file:
        while piece := file.read(CHUNK):
            yield piece
