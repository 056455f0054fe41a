"""Readers of the members of untrusted zip and tar archives, one member after the other.

Counts and sizes in the archive's metadata are not trusted: the unpacked bytes are counted.
"""

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

import msgspec
import zstandard

from adapters.uploads.archive_paths import ArchiveLimits, refused
from domain.errors import Invalid

CHUNK = 1 << 18
MAX_HEADER = 1 << 20
"""The most bytes of a tar header with all its extensions."""
MAX_DIRECTORY = 1 << 28
"""The most bytes of a zip's directory, which is read as a whole."""
MAX_MEMORY = 1 << 27
"""The largest window of an xz or zstd stream, in bytes."""

_DIRECTORY_ENTRY = b"PK\x01\x02"
_LOCAL_HEADER = 30
"""The fewest bytes before a member's name and content."""
_TAR_KINDS = {
    tarfile.SYMTYPE: "is a symbolic link",
    tarfile.LNKTYPE: "is a hard link",
    tarfile.CHRTYPE: "is a device",
    tarfile.BLKTYPE: "is a device",
    tarfile.FIFOTYPE: "is a named pipe",
}
_ZIP_MODES = {
    stat.S_IFLNK: "is a symbolic link",
    stat.S_IFCHR: "is a device",
    stat.S_IFBLK: "is a device",
    stat.S_IFIFO: "is a named pipe",
    stat.S_IFSOCK: "is a socket",
}


class Member(msgspec.Struct, frozen=True):
    """A file of an archive, or a folder if `chunks` is None. Read the chunks before the next
    member."""

    name: str
    chunks: Iterator[bytes] | None = None


class NotAnArchive(Invalid):
    """The file is in no format of archives, or damaged from its beginning on."""


def members(archive: Path, limits: ArchiveLimits) -> Iterator[Member]:
    """The files and folders of an archive, whose format is detected from its content.

    Raises `Invalid` if it is not a zip or tar, is damaged, or has members of other types.
    """
    with archive.open("rb") as file:
        start = file.read(tarfile.BLOCKSIZE)
        file.seek(0)
        if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            yield from _Zip(file, limits).members()
            return
        unpacked = next((open_(file) for magic, open_ in _PACKED if start.startswith(magic)), file)
        packed_bytes = archive.stat().st_size
        yield from _tar_members(_Counted(unpacked, packed_bytes, limits))


class _Zip:
    def __init__(self, file: IO[bytes], limits: ArchiveLimits) -> None:
        self._file = file
        self._limits = limits
        self._opening = True

    def members(self) -> Iterator[Member]:
        with zipfile.ZipFile(cast(IO[bytes], self)) as archive:
            self._opening = False
            infos = archive.infolist()
            _refuse_overlaps(infos, archive.start_dir)
            for info in infos:
                _check_zip_member(info)
                if info.is_dir():
                    yield Member(info.orig_filename)
                    continue
                with archive.open(info) as content:
                    yield Member(info.orig_filename, _chunks(content))

    def read(self, size: int = -1) -> bytes:
        """Read as a file does, but check the directory before zipfile makes an object per entry."""
        if self._opening and size > MAX_DIRECTORY:
            raise Invalid("the archive's directory is too large; pack fewer files", field="archive")
        data = self._file.read(size)
        if self._opening and data.count(_DIRECTORY_ENTRY) > self._limits.max_members:
            raise too_many(self._limits)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True


def _check_zip_member(info: zipfile.ZipInfo) -> None:
    name = info.orig_filename
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind in _ZIP_MODES:
        raise refused(name, f"{_ZIP_MODES[kind]}; only files and folders are accepted")
    if info.flag_bits & 1:
        raise refused(name, "is encrypted; pack without a password")
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        # The other methods return a whole block at once, of any unpacked size.
        raise refused(name, "uses an unsupported compression method; pack with `deflate`")


def _refuse_overlaps(infos: list[zipfile.ZipInfo], directory: int) -> None:
    """Raise `Invalid` for members that share bytes (Fifield 2019, `A better zip bomb`)."""
    in_order = sorted(infos, key=lambda info: info.header_offset)
    starts = [info.header_offset for info in in_order[1:]] + [directory]
    for info, following in zip(in_order, starts, strict=False):
        if info.header_offset + _LOCAL_HEADER + info.compress_size > following:
            raise refused(info.orig_filename, "overlaps with another; pack the files again")


class _Counted(io.RawIOBase):
    """The unpacked tar stream, with limits on its headers and on the ratio to packed bytes."""

    def __init__(self, file: IO[bytes], packed_bytes: int, limits: ArchiveLimits) -> None:
        self._file = file
        self._packed_bytes = packed_bytes
        self._limits = limits
        self._count = 0
        self._header_ends: int | None = None

    def header(self, begins: bool) -> None:
        """Start or end the limit for a header, which is read into memory as a whole."""
        self._header_ends = self._count + MAX_HEADER if begins else None

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._count += len(data)
        if self._header_ends is not None and self._count > self._header_ends:
            raise Invalid("a header in the archive is too large; pack it again", field="archive")
        check_ratio(self._count, self._packed_bytes, self._limits)
        return data


class _StrictTarInfo(tarfile.TarInfo):
    """A tar header that raises if it is damaged; tarfile treats such a header as the end."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "_StrictTarInfo":
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error


def _tar_members(stream: _Counted) -> Iterator[Member]:
    stream.header(begins=True)
    with _open_tar(stream) as archive:
        while (info := archive.next()) is not None:
            stream.header(begins=False)
            archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps every member
            yield _tar_member(archive, info)
            stream.header(begins=True)
        stream.header(begins=False)
        # Read to the end to verify checksums. More data after the end must not be lost silently.
        assert archive.fileobj is not None
        while rest := archive.fileobj.read(CHUNK):
            if rest.strip(b"\0"):
                raise Invalid("the archive has data after its end; pack it again", field="archive")


def _open_tar(stream: _Counted) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=stream, mode="r|", tarinfo=_StrictTarInfo)
    except tarfile.ReadError as error:
        raise NotAnArchive(
            "this is not a zip or tar archive (plain, or with gzip, bzip2, xz or zstd), or it is"
            " damaged; pack the folder as one of these",
            field="archive",
        ) from error


def _tar_member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    if info.isdir():
        return Member(info.name)
    if info.type in _TAR_KINDS:
        raise refused(info.name, f"{_TAR_KINDS[info.type]}; only files and folders are accepted")
    content = archive.extractfile(info)
    if content is None or info.issparse() or info.size < 0:
        raise refused(info.name, "is not a regular file; pack only regular files")
    return Member(info.name, _chunks(content))


class _XzStreams(io.RawIOBase):
    """Concatenated xz streams, unpacked within a memory limit."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._unpacker = _xz()
        self._packed = b""

    def read(self, size: int = -1) -> bytes:
        while True:
            if self._unpacker.eof:
                remaining = self._unpacker.unused_data or self._file.read(CHUNK)
                self._packed = remaining.lstrip(b"\0")  # streams are padded
                if not self._packed:
                    return b""
                self._unpacker = _xz()
            elif self._unpacker.needs_input:
                self._packed = self._file.read(CHUNK)
                if not self._packed:
                    raise EOFError("the xz stream ends early")
            data = self._unpacker.decompress(self._packed, max_length=size)
            self._packed = b""
            if data:
                return data


def _xz() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_MEMORY)


def _zstd(file: IO[bytes]) -> IO[bytes]:
    unpacker = zstandard.ZstdDecompressor(max_window_size=MAX_MEMORY)
    return cast(IO[bytes], unpacker.stream_reader(file, read_across_frames=True))


_PACKED: list[tuple[bytes, Callable[[IO[bytes]], IO[bytes]]]] = [
    (b"\x1f\x8b", lambda file: cast(IO[bytes], gzip.GzipFile(fileobj=file))),
    (b"BZh", lambda file: cast(IO[bytes], bz2.BZ2File(file))),
    (b"\xfd7zXZ\x00", lambda file: cast(IO[bytes], _XzStreams(file))),
    (b"\x28\xb5\x2f\xfd", _zstd),
]


def _chunks(content: IO[bytes]) -> Iterator[bytes]:
    while chunk := content.read(CHUNK):
        yield chunk


def check_ratio(unpacked: int, packed: int, limits: ArchiveLimits) -> None:
    """Raise `Invalid` if the ratio of unpacked to packed bytes is above the limit."""
    if unpacked > MAX_HEADER and unpacked > limits.max_ratio * packed:
        raise Invalid(
            f"the archive unpacks to more than {limits.max_ratio:g} times its size; pack the files"
            " without archives in them",
            field="archive",
        )


def too_many(limits: ArchiveLimits) -> Invalid:
    return Invalid(
        f"the archive has more than {limits.max_members:,} members; split it", field="archive"
    )


def damaged(error: Exception) -> Invalid:
    return Invalid(f"the archive is damaged or cut off ({error}); pack it again", field="archive")
