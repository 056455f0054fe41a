"""Unpacking of uploaded archives, which are untrusted, within limits."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from adapters.shortage import shortage
from adapters.uploads.archive_paths import ArchiveLimits, MemberPaths, refused
from adapters.uploads.archive_readers import check_ratio, damaged, members, too_many
from domain.errors import Invalid

__all__ = ["ArchiveLimits", "unpack"]

Item = TypeVar("Item")


def unpack(archive: Path, into: Path, limits: ArchiveLimits) -> int:
    """Unpack a zip or a tar (plain, gzip, bzip2, xz, zstd) into an empty folder.

    Returns the number of files written. Only files and their folders are written, inside `into`,
    without owner and permissions; empty folders and files that operating systems create are not.
    For anything else it raises `Invalid` with the member and what to do, and `into` is empty again.
    """
    into.mkdir(parents=True, exist_ok=True)
    if any(into.iterdir()):
        raise FileExistsError(f"{into} is not empty")
    try:
        return _Unpacking(archive, into, limits).run()
    except BaseException:
        for path in into.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise


class _Unpacking:
    def __init__(self, archive: Path, into: Path, limits: ArchiveLimits) -> None:
        self._archive = archive
        self._into = into
        self._limits = limits
        self._paths = MemberPaths(limits)
        self._packed_bytes = archive.stat().st_size
        self._members = self._files = self._bytes = 0

    def run(self) -> int:
        reading = members(self._archive, self._limits)
        while (member := _next(reading)) is not None:
            self._members += 1
            if self._members > self._limits.max_members:
                raise too_many(self._limits)
            if member.chunks is None:
                self._paths.take_folder(member.name)
            else:
                self._take_file(member.name, self._counted(member.name, member.chunks))
        return self._files

    def _take_file(self, name: str, chunks: Iterator[bytes]) -> None:
        path = self._paths.take_file(name)
        if path is None:
            for _ in chunks:  # skip to the next member
                pass
            return
        target = self._into / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            for chunk in chunks:
                file.write(chunk)
        self._files += 1

    def _counted(self, name: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        size = 0
        while (chunk := _next(chunks)) is not None:
            size += len(chunk)
            self._bytes += len(chunk)
            if size > self._limits.max_file_bytes:
                most = self._limits.max_file_bytes
                raise refused(name, f"is larger than {most:,} bytes; leave it out")
            if self._bytes > self._limits.max_total_bytes:
                most = self._limits.max_total_bytes
                raise refused(name, f"makes the archive larger than {most:,} bytes; split it")
            check_ratio(self._bytes, self._packed_bytes, self._limits)
            yield chunk


def _next(items: Iterator[Item]) -> Item | None:
    """The next item, or None at the end. Raises `Invalid` for any error of the reader, whose
    input is untrusted, but for those of this machine."""
    try:
        return next(items, None)
    except Invalid:
        raise
    except Exception as error:
        if shortage(error):
            raise
        raise damaged(error) from error
