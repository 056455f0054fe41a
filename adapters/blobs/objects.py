"""Object storage by key, in a folder or a bucket: the basis of the blob store.

Every write is atomic: a reader sees the new content or the old one. In a bucket, an acknowledged
write is durable. In a folder it is durable after `flush`, since obstore does not wait for the disk.
"""

import ctypes
import os
import random
import re
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from stat import S_ISREG
from typing import IO, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec
import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, ObjectStore, from_url

PIECE = 8 << 20
"""Bytes of one read or write. Four pieces of a large content are written concurrently."""

FLUSH_AT = 1000
"""The most writes without a flush: a caller with more has probably forgotten to flush."""

SYNC_ALL_FROM = 64
"""The number of files from which the whole file system is flushed with Linux's syncfs(2). It then
takes a fraction of the time of an fsync per file, although it also waits for other writers."""

_OS_ERROR = re.compile(r"\(os error (\d+)\)")
"""How Rust writes an error of the operating system, by its errno."""

_PLAIN_KEY = re.compile(r"\w[\w.-]*(?:/\w[\w.-]*)*", re.ASCII)

_SYNCFS = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)

Result = TypeVar("Result")


class BlobMissing(Exception):
    """The key does not exist."""


class Entry(msgspec.Struct, frozen=True):
    """The metadata of a key: its size in bytes, and the time of its write or move."""

    key: str
    size: int
    modified: datetime


class Objects:
    """Objects in a folder or a bucket. Safe to use from many threads."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._folder = store.prefix if isinstance(store, LocalStore) else None
        self._unflushed: set[str] = set()
        self._unflushed_lock = threading.Lock()
        self._flushing = threading.Lock()

    @classmethod
    def from_url(cls, url: str) -> "Objects":
        """Open `file:///folder` (made if absent) or `s3://bucket/prefix` (access from AWS_*)."""
        parts = urlsplit(url)
        if parts.scheme == "file":
            folder = Path(unquote(parts.path))
            folder.mkdir(parents=True, exist_ok=True)
            return cls(LocalStore(folder))
        return cls(from_url(url))

    def check(self) -> None:
        """Raises `OSError` if the folder is gone or the bucket does not answer."""
        if self._folder is not None:
            self._folder.stat()
            return
        try:
            self.entry("is/anyone/there")
        except BlobMissing:
            return
        except BaseError as error:
            raise OSError(f"the blob store does not answer: {error}") from error

    def write(self, key: str, content: bytes | Path | IO[bytes]) -> None:
        """Store bytes or a file's content, replacing earlier content; uses constant memory.

        Raises `OSError`, with its `errno`, where the operating system refuses, as on a full disk.
        So do all methods.
        """
        with _os_errors(key):
            if self._is_plain(key) and isinstance(content, bytes):
                # obstore takes four times as long for a small file.
                _write_file(self._path(key), content)
            elif isinstance(content, bytes) and len(content) <= PIECE:
                # A multipart upload would take four times as long for a small image.
                obstore.put(self._store, key, content, use_multipart=False)
            else:
                obstore.put(self._store, key, content, chunk_size=PIECE, max_concurrency=4)

    def read(self, key: str) -> bytes:
        """The content of a key. Raises `BlobMissing`."""
        return b"".join(self.stream(key))

    def stream(self, key: str) -> Iterator[bytes]:
        """The content of a key in pieces. Raises `BlobMissing` immediately."""
        response = _existing(key, lambda: obstore.get(self._store, key))
        size = response.meta["size"]
        if size <= PIECE:
            return iter((response.bytes().to_bytes(),))
        # One request per piece: obstore aborts a response that takes half a minute.
        return (self._piece(key, start, size) for start in range(0, size, PIECE))

    def entry(self, key: str) -> Entry:
        """The metadata of a key. Raises `BlobMissing`."""
        if self._is_plain(key):
            status = _existing(key, lambda: self._path(key).stat())
            if not S_ISREG(status.st_mode):
                raise BlobMissing(f"no file is stored under {key}")
            modified = datetime.fromtimestamp(status.st_mtime, UTC)
            return Entry(key, status.st_size, modified)
        meta = _existing(key, lambda: obstore.head(self._store, key))
        return Entry(key, meta["size"], meta["last_modified"])

    def entries(self, prefix: str) -> Iterator[Entry]:
        """The metadata of the keys in a folder, in no order."""
        with _os_errors(prefix):
            for page in obstore.list(self._store, prefix=prefix, chunk_size=1000):
                for meta in page:
                    yield Entry(meta["path"], meta["size"], meta["last_modified"])

    def move(self, key: str, to: str) -> None:
        """Move an object to another key, with the current time. Raises `BlobMissing`."""
        if self._folder is not None:
            # A renamed file keeps its time. It is set first, so that it is never too old.
            _existing(key, lambda: os.utime(self._path(key)))
        _existing(key, lambda: obstore.rename(self._store, key, to))

    def folder(self, prefix: str) -> Path | None:
        """The folder of the keys with a prefix; None in a bucket."""
        return None if self._folder is None else self._folder / prefix

    def adopt(self, path: Path, key: str) -> None:
        """Make a file of this file system a key's content, with the current time, by renaming it.

        Raises `BlobMissing` if file not found.
        """
        to = self._path(key)
        try:
            os.utime(path)
            try:
                path.rename(to)
            except FileNotFoundError:
                to.parent.mkdir(parents=True, exist_ok=True)
                path.rename(to)
        except FileNotFoundError as error:
            raise BlobMissing(f"{path} is not there to be stored") from error

    def delete(self, key: str) -> None:
        """Delete a key; a missing one is no error."""
        with _os_errors(key), suppress(FileNotFoundError, NotFoundError):
            obstore.delete(self._store, key)

    def delete_folder(self, prefix: str) -> None:
        """Delete all keys in a folder, and what a writer that was killed has left beside them."""
        for entry in self.entries(prefix):
            self.delete(entry.key)
        if self._folder is not None:
            # obstore writes a file under another name first, which it does not list.
            with _os_errors(prefix):
                for path in self._path(prefix).rglob("*#*"):
                    path.unlink(missing_ok=True)

    def flush_later(self, key: str) -> None:
        """Add a key to the next `flush`."""
        if self._folder is None:
            return
        with self._unflushed_lock:
            self._unflushed.add(key)
            is_due = len(self._unflushed) >= FLUSH_AT
        if is_due:
            self.flush()

    def flush(self) -> None:
        """Make the keys of `flush_later` durable, so that they survive a power loss."""
        # Wait for a concurrent flush, which may include this thread's keys.
        with self._flushing:
            with self._unflushed_lock:
                keys, self._unflushed = self._unflushed, set()
            try:
                self._fsync(keys)
            except BaseException:
                with self._unflushed_lock:
                    self._unflushed |= keys
                raise

    def _fsync(self, keys: Collection[str]) -> None:
        if len(keys) >= SYNC_ALL_FROM and _SYNCFS is not None and self._folder is not None:
            _syncfs(self._folder)
            return
        files = [self._path(key) for key in keys]
        folders = {folder for key in keys for folder in self._folders(key)}
        for path in [*files, *sorted(folders, reverse=True)]:
            # A file that the garbage collection has moved was not new.
            with suppress(FileNotFoundError):
                fsync(path)

    def _piece(self, key: str, start: int, size: int) -> bytes:
        end = min(start + PIECE, size)
        read = obstore.get_range
        return _existing(key, lambda: read(self._store, key, start=start, end=end).to_bytes())

    def _path(self, key: str) -> Path:
        assert self._folder is not None
        return self._folder / key

    def _is_plain(self, key: str) -> bool:
        """Whether a key is the path of a file as it stands, without a call of obstore."""
        return self._folder is not None and _PLAIN_KEY.fullmatch(key) is not None

    def _folders(self, key: str) -> list[Path]:
        """The folders above a key, whose entries a new file may have changed."""
        depth = key.count("/") + 1
        return list(self._path(key).parents)[:depth]


def age(entry: Entry, now: datetime) -> timedelta:
    """The time since an entry was written or moved."""
    return now - entry.modified


def utc_now() -> datetime:
    return datetime.now(UTC)


def _existing(key: str, access: Callable[[], Result]) -> Result:
    """The result of `access`. Raises `BlobMissing` if the key does not exist."""
    try:
        with _os_errors(key):
            return access()
    except (FileNotFoundError, NotFoundError) as error:
        raise BlobMissing(f"no file is stored under {key}") from error


@contextmanager
def _os_errors(key: str) -> Iterator[None]:
    """Raise as `OSError` what obstore has as text: `… No space left on device (os error 28)`."""
    try:
        yield
    except BaseError as error:
        if isinstance(error, OSError) or (number := _OS_ERROR.search(str(error))) is None:
            raise
        errno = int(number[1])
        raise OSError(errno, os.strerror(errno), key) from error


def _write_file(path: Path, content: bytes) -> None:
    """Write a file beside its place, under a name that obstore does not list, and move it there."""
    beside = path.with_name(f"{path.name}#{random.getrandbits(63)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        descriptor = os.open(beside, flags, 0o666)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(beside, flags, 0o666)
    try:
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)
        beside.rename(path)
    except BaseException:
        beside.unlink()
        raise


def _syncfs(folder: Path) -> None:
    assert _SYNCFS is not None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if _SYNCFS(descriptor) != 0:
            raise OSError(ctypes.get_errno(), "the files cannot be made safe", str(folder))
    finally:
        os.close(descriptor)


def fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
