"""The blob store: images, manifests and weights by their sha256, in a folder or on S3."""

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import msgspec

from adapters.blobs import compression
from adapters.blobs.digests import BlobCorrupt, StreamDigest, corrupt, verified, write_whole
from adapters.blobs.objects import BlobMissing, Objects, age, utc_now
from adapters.blobs.staging import Staging

__all__ = ["BlobCorrupt", "BlobMissing", "BlobStore", "StoredBlob"]

PLAIN, PACKED = "sha256", "zstd"
TRASH = "trash"
STAGED = "staged"

THUMBNAIL_SIZES = (256, 2048)
"""The longest sides of thumbnails in pixels."""
PICTURE = "picture"
"""The size of what the annotation page shows."""

RENEW_AFTER = timedelta(hours=12)
"""A put writes a blob older than this again: with the new time, the collector keeps it."""

MAX_UNPACKED = 1 << 34

ROOM_BYTES = 1_000_000
"""A store that takes so much has room again."""

_DIGEST_BYTES = hashlib.sha256().digest_size

Result = TypeVar("Result")


class StoredBlob(msgspec.Struct, frozen=True):
    """A stored blob: `size` in bytes as stored, and `modified`, the time of its write or move."""

    key: str
    size: int
    modified: datetime

    @property
    def digest(self) -> str:
        return self.key.rsplit("/", 1)[1]


class BlobStore:
    """A content-addressed store: blobs are written once, and verified on each read.

    Content of any size is stored plain, or packed with zstd by the digest of the *unpacked*
    content; a reader knows which one it needs. Beside blobs, the store has *scratch* entries, which
    are named, overwritten and deleted (such as the checkpoints that an interrupted training resumes
    from), and *derived* entries, which can be computed again (such as thumbnails). All writes are
    atomic.

    **Call `flush` after putting blobs and before appending events that name them.**
    """

    def __init__(self, objects: Objects, clock: Callable[[], datetime] = utc_now) -> None:
        self._objects = objects
        self._clock = clock

    @classmethod
    def from_url(cls, url: str, clock: Callable[[], datetime] = utc_now) -> "BlobStore":
        """Open `file:///folder` (made if absent) or `s3://bucket/prefix` (access from AWS_*)."""
        return cls(Objects.from_url(url), clock)

    def check(self) -> None:
        """Raises `OSError` if the store does not answer."""
        self._objects.check()

    def check_room(self) -> None:
        """Write some bytes and delete them. Raises `OSError` if there is no room for them."""
        key = "scratch/room"
        try:
            self._objects.write(key, bytes(ROOM_BYTES))
        finally:
            self._objects.delete(key)

    def flush(self) -> None:
        """Make the blobs that were put durable, so that they survive a power loss.

        In a folder this is an fsync for each blob, new or not, and its folders. In a bucket it
        does nothing, since acknowledged writes are durable. It is cheap if no blob was put.
        """
        self._objects.flush()

    def put(self, data: bytes) -> str:
        """Store bytes and return their sha256 in hexadecimal.

        An existing blob is only written again if its size is wrong or it is half a day old.
        """
        digest = hashlib.sha256(data).hexdigest()
        self._write(_key(PLAIN, digest), len(data), lambda key: self._objects.write(key, data))
        return digest

    def put_file(self, path: Path) -> str:
        """As `put`, for a file's content, which must not change meanwhile; uses constant memory."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
        self._write(_key(PLAIN, digest), size, lambda key: self._objects.write(key, path))
        return digest

    def staging(self, name: str) -> Staging | None:
        """A place to write contents that may become blobs; None in a bucket, where a content is
        sent once it does."""
        folder = self._objects.folder(f"{STAGED}/{name}")
        return None if folder is None else Staging(folder)

    def put_staged(self, staging: Staging, digest: str) -> None:
        """As `put`, for what was written to a staging place. Raises `BlobMissing`."""
        key = _key(PLAIN, digest)
        self._objects.adopt(staging.path(digest), key)
        self._objects.flush_later(key)

    def put_compressed(self, chunks: Iterable[bytes]) -> tuple[str, int]:
        """Store a stream packed. Returns the sha256 and size in bytes of the *unpacked* content.

        The packed stream is in a temporary file until its digest is known.
        """
        content = StreamDigest()
        with tempfile.TemporaryFile() as file:
            for packed in compression.pack(content.update(chunks)):
                file.write(packed)
            size = file.tell()
            file.seek(0)
            key = _key(PACKED, content.digest)
            self._write(key, size, lambda key: self._objects.write(key, file))
        return content.digest, content.size

    def get(self, digest: str) -> bytes:
        """A blob's content. Raises `BlobMissing`, or `BlobCorrupt` if it has changed."""
        data = self._restoring(_key(PLAIN, digest), self._objects.read)
        if hashlib.sha256(data).hexdigest() != digest:
            raise corrupt(digest)
        return data

    def chunks(self, digest: str) -> Iterator[bytes]:
        """A blob's content in chunks, which are only verified when the iterator has ended.

        Raises `BlobMissing` immediately, and `BlobCorrupt` after the last chunk.
        """
        return verified(digest, self._restoring(_key(PLAIN, digest), self._objects.stream))

    def read_compressed(self, digest: str, *, max_bytes: int = MAX_UNPACKED) -> Iterator[bytes]:
        """The unpacked content of a packed blob in chunks; raises as `chunks`.

        Content above `max_bytes` raises `BlobCorrupt` before more is unpacked.
        """
        packed = self._restoring(_key(PACKED, digest), self._objects.stream)
        return verified(digest, _unpacked(digest, packed, max_bytes))

    def copy_to(self, digest: str, path: Path) -> None:
        """Write a blob to a file, which is only created if it is valid; raises as `get`."""
        write_whole(path, self.chunks(digest))

    def has(self, digest: str) -> bool:
        """Whether a plain blob exists; one in the trash is restored."""
        return self.size(digest) is not None

    def size(self, digest: str) -> int | None:
        """The size of a plain blob in bytes, or None; one in the trash is restored."""
        try:
            return self._restoring(_key(PLAIN, digest), self._objects.entry).size
        except BlobMissing:
            return None

    def list_blobs(self) -> Iterator[StoredBlob]:
        """All blobs, including packed ones, in no order."""
        return self._list("")

    def list_trash(self) -> Iterator[StoredBlob]:
        """The blobs in the trash; `modified` is the time when they were discarded."""
        return self._list(f"{TRASH}/")

    def discard(self, blob: StoredBlob) -> None:
        """Move a blob to the trash. A read, `has` or `size` restores it."""
        with suppress(BlobMissing):
            self._objects.move(blob.key, f"{TRASH}/{blob.key}")

    def is_stored_anew(self, trashed: StoredBlob) -> bool:
        """Whether a blob in the trash has been stored again."""
        return self._exists(_key_before_trash(trashed))

    def restore(self, trashed: StoredBlob) -> None:
        """Move a blob back from the trash, unless it has been stored again."""
        self._restoring(_key_before_trash(trashed), self._objects.entry)

    def purge(self, trashed: StoredBlob) -> None:
        """Delete a blob from the trash."""
        self._objects.delete(trashed.key)

    def copies(self, digest: str) -> list[str]:
        """The existing keys of a blob and of its thumbnails, including those in the trash."""
        return [key for key in _keys_of(digest) if self._exists(key)]

    def erase(self, digest: str) -> None:
        """Delete a blob and its thumbnails. When this returns the deletion is durable."""
        # Repeat until there are no copies: a reader or the collector may have moved the blob.
        while keys := self.copies(digest):
            for key in keys:
                self._objects.delete(key)
        for key in _keys_of(digest):
            self._objects.flush_later(key)
        self._objects.flush()

    def put_derived(self, key: str, data: bytes) -> None:
        """Store a derived entry, which can be computed again, such as a thumbnail."""
        self._objects.write(f"derived/{key}", hashlib.sha256(data).digest() + data)

    def get_derived(self, key: str) -> bytes | None:
        """A derived entry, or None if it is missing or was damaged by a power loss: compute it
        again."""
        try:
            stored = self._objects.read(f"derived/{key}")
        except BlobMissing:
            return None
        digest, data = stored[:_DIGEST_BYTES], stored[_DIGEST_BYTES:]
        return data if hashlib.sha256(data).digest() == digest else None

    def list_thumbnails(self) -> Iterator[tuple[int | str, str]]:
        """The size and the image's digest of each stored thumbnail, in no order."""
        for size in (*THUMBNAIL_SIZES, PICTURE):
            for entry in self._objects.entries(f"derived/thumbnails/{size}"):
                yield size, entry.key.rpartition("/")[2].removesuffix(".webp")

    def forget_derived(self, key: str) -> None:
        """Delete a derived entry; a missing one is no error."""
        self._objects.delete(f"derived/{key}")

    def put_scratch(self, key: str, data: bytes) -> None:
        """Store a scratch entry, replacing an earlier one."""
        self._objects.write(f"scratch/{key}", data)

    def put_scratch_file(self, key: str, path: Path) -> None:
        """As `put_scratch`, for a file's content; uses constant memory."""
        self._objects.write(f"scratch/{key}", path)

    def get_scratch(self, key: str) -> bytes:
        """The content of a scratch entry. Raises `BlobMissing`."""
        return self._objects.read(f"scratch/{key}")

    def copy_scratch_to(self, key: str, path: Path) -> None:
        """Write a scratch entry to a file. Raises `BlobMissing`."""
        write_whole(path, self._objects.stream(f"scratch/{key}"))

    def list_scratch(self, prefix: str) -> list[str]:
        """The names of the scratch entries in a folder, sorted."""
        entries = self._objects.entries(f"scratch/{prefix}")
        return sorted(entry.key.removeprefix("scratch/") for entry in entries)

    def delete_scratch(self, key: str) -> None:
        """Delete a scratch entry; a missing one is no error."""
        self._objects.delete(f"scratch/{key}")

    def delete_scratch_folder(self, prefix: str) -> None:
        """Delete all scratch entries in a folder, whole or not."""
        self._objects.delete_folder(f"scratch/{prefix}")

    def _write(self, key: str, size: int, write: Callable[[str], None]) -> None:
        try:
            entry = self._objects.entry(key)
            is_current = entry.size == size and age(entry, self._clock()) < RENEW_AFTER
        except BlobMissing:
            is_current = False
        if not is_current:
            write(key)
        # An existing blob may be from a process that was killed before it flushed.
        self._objects.flush_later(key)

    def _restoring(self, key: str, read: Callable[[str], Result]) -> Result:
        """Read a blob, restoring it from the trash if necessary. Raises `BlobMissing`."""
        try:
            return read(key)
        except BlobMissing:
            with suppress(BlobMissing):  # another reader may have restored it
                self._objects.move(f"{TRASH}/{key}", key)
            return read(key)

    def _exists(self, key: str) -> bool:
        try:
            self._objects.entry(key)
        except BlobMissing:
            return False
        return True

    def _list(self, prefix: str) -> Iterator[StoredBlob]:
        for space in (PLAIN, PACKED):
            for entry in self._objects.entries(f"{prefix}{space}"):
                yield StoredBlob(entry.key, entry.size, entry.modified)


def _key(space: str, digest: str) -> str:
    return f"{space}/{digest[:2]}/{digest}"


def thumbnail_key(digest: str, size: int | str) -> str:
    """The name of an image's thumbnail among the derived entries."""
    return f"thumbnails/{size}/{digest}.webp"


def _keys_of(digest: str) -> list[str]:
    """All keys that a blob and its thumbnails may have. The trash comes first: a blob that is
    restored while the keys are checked in order is then found under its own key."""
    blobs = [_key(space, digest) for space in (PLAIN, PACKED)]
    thumbnails = [f"derived/{thumbnail_key(digest, size)}" for size in (*THUMBNAIL_SIZES, PICTURE)]
    return [*(f"{TRASH}/{key}" for key in blobs), *blobs, *thumbnails]


def _key_before_trash(trashed: StoredBlob) -> str:
    return trashed.key.removeprefix(f"{TRASH}/")


def _unpacked(digest: str, packed: Iterator[bytes], max_bytes: int) -> Iterator[bytes]:
    remaining = max_bytes
    try:
        for chunk in compression.unpack(packed):
            remaining -= len(chunk)
            if remaining < 0:
                raise BlobCorrupt(f"blob {digest} unpacks to more than {max_bytes:,} bytes")
            yield chunk
    except compression.UnpackError as error:
        raise corrupt(digest) from error
