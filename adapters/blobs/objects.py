"""Bytes under keys, in a folder or a bucket: what the blob store is built on.

Every write is atomic: a reader sees all of it or what was there before. A bucket keeps what it
has acknowledged. A folder does so after `flush`; obstore's own writes do not wait for the disk.
"""

import ctypes
import os
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec
import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, ObjectStore, from_url

PIECE = 8 << 20
"""Bytes that are read or sent at a time. Of a large content, 4 pieces are sent at once."""

FLUSH_AT = 1000
"""Writes that may wait for a flush: more would only be forgotten ones."""

SYNC_ALL_FROM = 64
"""From so many files on, Linux is asked to write all of the file system: syncfs(2) then costs a
fraction of an fsync for each, though it waits for what others have written too."""

_SYNCFS = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)

Result = TypeVar("Result")


class BlobMissing(Exception):
    """No bytes are stored under this key."""


class Entry(msgspec.Struct, frozen=True):
    """What is stored under a key: its size in bytes, and when it was written or moved there."""

    key: str
    size: int
    modified: datetime


class Objects:
    """A folder or a bucket. Safe to use from many threads."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._folder = store.prefix if isinstance(store, LocalStore) else None
        self._unflushed: set[str] = set()
        self._noting = threading.Lock()
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
        """Store bytes or a file's content, replacing what was there; memory stays flat."""
        if isinstance(content, bytes) and len(content) <= PIECE:
            # Sending in parts would be four times the work for a small image.
            obstore.put(self._store, key, content, use_multipart=False)
        else:
            obstore.put(self._store, key, content, chunk_size=PIECE, max_concurrency=4)

    def read(self, key: str) -> bytes:
        """All bytes under a key. Raises `BlobMissing`."""
        return b"".join(self.stream(key))

    def stream(self, key: str) -> Iterator[bytes]:
        """The bytes under a key, piece by piece. Raises `BlobMissing`, and at once."""
        found = _found(key, lambda: obstore.get(self._store, key))
        size = found.meta["size"]
        if size <= PIECE:
            return iter((found.bytes().to_bytes(),))
        # Each piece is a request of its own: obstore ends an answer that takes half a minute.
        return (self._piece(key, start, size) for start in range(0, size, PIECE))

    def entry(self, key: str) -> Entry:
        """What is under a key. Raises `BlobMissing`."""
        found = _found(key, lambda: obstore.head(self._store, key))
        return Entry(key, found["size"], found["last_modified"])

    def entries(self, prefix: str) -> Iterator[Entry]:
        """What is under a folder's name, in no order."""
        for page in obstore.list(self._store, prefix=prefix, chunk_size=1000):
            for found in page:
                yield Entry(found["path"], found["size"], found["last_modified"])

    def move(self, key: str, to: str) -> None:
        """Put an entry under another key, as if written there now. Raises `BlobMissing`."""
        if self._folder is not None:
            # A renamed file keeps its time; set it first, so that it is never too old in between.
            _found(key, lambda: os.utime(self._path(key)))
        _found(key, lambda: obstore.rename(self._store, key, to))

    def delete(self, key: str) -> None:
        """Forget a key; one that is not there is no error."""
        with suppress(FileNotFoundError, NotFoundError):
            obstore.delete(self._store, key)

    def flush_later(self, key: str) -> None:
        """Let the next `flush` make sure of a key."""
        if self._folder is None:
            return
        with self._noting:
            self._unflushed.add(key)
            many = len(self._unflushed) >= FLUSH_AT
        if many:
            self.flush()

    def flush(self) -> None:
        """Return once a power loss would not take what `flush_later` has named."""
        # Whoever comes while another flushes waits: it may be their own key that is under way.
        with self._flushing:
            with self._noting:
                keys, self._unflushed = self._unflushed, set()
            try:
                self._fsync(keys)
            except BaseException:
                with self._noting:
                    self._unflushed |= keys
                raise

    def _fsync(self, keys: Collection[str]) -> None:
        if len(keys) >= SYNC_ALL_FROM and _SYNCFS is not None and self._folder is not None:
            _syncfs(self._folder)
            return
        files = [self._path(key) for key in keys]
        folders = {folder for key in keys for folder in self._folders(key)}
        for path in [*files, *sorted(folders, reverse=True)]:
            # One that the collection of garbage has moved meanwhile was not new.
            with suppress(FileNotFoundError):
                fsync(path)

    def _piece(self, key: str, start: int, size: int) -> bytes:
        end = min(start + PIECE, size)
        read = obstore.get_range
        return _found(key, lambda: read(self._store, key, start=start, end=end).to_bytes())

    def _path(self, key: str) -> Path:
        assert self._folder is not None
        return self._folder / key

    def _folders(self, key: str) -> list[Path]:
        """The folders of a key, whose entries a new file may have changed."""
        depth = key.count("/") + 1
        return list(self._path(key).parents)[:depth]


def age(entry: Entry, now: datetime) -> timedelta:
    """How long ago an entry was written or moved where it is."""
    return now - entry.modified


def utc_now() -> datetime:
    return datetime.now(UTC)


def _found(key: str, look: Callable[[], Result]) -> Result:
    try:
        return look()
    except (FileNotFoundError, NotFoundError) as error:
        raise BlobMissing(f"nothing is stored under {key}") from error


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
