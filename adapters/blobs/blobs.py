"""The blob store: images, manifests, weights under their sha256, in a folder or on S3."""

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import msgspec

from adapters.blobs import compression
from adapters.blobs.digests import BlobCorrupt, Total, corrupt, verified, write_whole
from adapters.blobs.objects import BlobMissing, Objects, age, utc_now

__all__ = ["BlobCorrupt", "BlobMissing", "BlobStore", "StoredBlob"]

PLAIN, PACKED = "sha256", "zstd"
TRASH = "trash"

THUMBNAIL_SIZES = (256, 2048)
"""The longest sides in pixels that images are made small to."""

RENEW_AFTER = timedelta(hours=12)
"""A blob older than this is written again by a put, which tells the collector that it is wanted."""

MAX_UNPACKED = 1 << 34

_DIGEST_BYTES = hashlib.sha256().digest_size

Result = TypeVar("Result")


class StoredBlob(msgspec.Struct, frozen=True):
    """A blob as it lies there: `size` in bytes, as stored; `modified` when it came there."""

    key: str
    size: int
    modified: datetime

    @property
    def digest(self) -> str:
        return self.key.rsplit("/", 1)[1]


class BlobStore:
    """Content-addressed, written once, verified whenever read.

    Content of any size is stored as it is, or packed with zstd under the digest of the *unpacked*
    content; a reader knows which it wants. Beside the blobs it keeps *scratch* entries: named,
    overwritten, deleted (the checkpoints that an interrupted training resumes from), and
    *derived* ones that can be made again (thumbnails). All are written atomically.

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

    def flush(self) -> None:
        """Return once a power loss would not take the blobs that were put; cheap if there are none.

        In a folder this is an fsync for each blob, new or not, and its folders. A bucket keeps
        what it has acknowledged, so there it does nothing.
        """
        self._objects.flush()

    def put(self, data: bytes) -> str:
        """Store bytes and return their sha256 in hexadecimal.

        What is there already is written again only if its size is wrong or it is half a day old.
        """
        digest = hashlib.sha256(data).hexdigest()
        self._write(_key(PLAIN, digest), len(data), lambda key: self._objects.write(key, data))
        return digest

    def put_file(self, path: Path) -> str:
        """As `put`, for the content of a file that does not change meanwhile; memory stays flat."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
        self._write(_key(PLAIN, digest), size, lambda key: self._objects.write(key, path))
        return digest

    def put_compressed(self, chunks: Iterable[bytes]) -> tuple[str, int]:
        """Store a stream packed; the sha256 and the size in bytes of its *unpacked* content.

        The packed stream waits in a temporary file until its digest is known.
        """
        total = Total()
        with tempfile.TemporaryFile() as file:
            for packed in compression.pack(total.counting(chunks)):
                file.write(packed)
            size = file.tell()
            file.seek(0)
            key = _key(PACKED, total.digest)
            self._write(key, size, lambda key: self._objects.write(key, file))
        return total.digest, total.size

    def get(self, digest: str) -> bytes:
        """The bytes of a digest. Raises `BlobMissing`, or `BlobCorrupt` if they have changed."""
        data = self._look(_key(PLAIN, digest), self._objects.read)
        if hashlib.sha256(data).hexdigest() != digest:
            raise corrupt(digest)
        return data

    def chunks(self, digest: str) -> Iterator[bytes]:
        """The bytes of a digest, piece by piece: good only once the iterator has ended.

        Raises `BlobMissing` at once, and `BlobCorrupt` after the last piece.
        """
        return verified(digest, self._look(_key(PLAIN, digest), self._objects.stream))

    def read_compressed(self, digest: str, *, max_bytes: int = MAX_UNPACKED) -> Iterator[bytes]:
        """The unpacked content of a packed blob, piece by piece; errors as `chunks`.

        Content of more than `max_bytes` is `BlobCorrupt` too, before that much was unpacked.
        """
        packed = self._look(_key(PACKED, digest), self._objects.stream)
        return verified(digest, _unpacked(digest, packed, max_bytes))

    def copy_to(self, digest: str, path: Path) -> None:
        """Write a blob to a file, which is there only if all of it is right; errors as `get`."""
        write_whole(path, self.chunks(digest))

    def has(self, digest: str) -> bool:
        """Whether the digest can be read, packed ones aside; one in the trash is put back."""
        return self.size(digest) is not None

    def size(self, digest: str) -> int | None:
        """A blob's bytes, packed ones aside; None where there is none."""
        try:
            return self._look(_key(PLAIN, digest), self._objects.entry).size
        except BlobMissing:
            return None

    def list_blobs(self) -> Iterator[StoredBlob]:
        """All blobs, packed ones included, in no order."""
        return self._list("")

    def list_trash(self) -> Iterator[StoredBlob]:
        """The blobs in the trash; `modified` is when they came there."""
        return self._list(f"{TRASH}/")

    def discard(self, blob: StoredBlob) -> None:
        """Move a blob to the trash. Whoever reads it, or asks whether it is there, puts it back."""
        with suppress(BlobMissing):
            self._objects.move(blob.key, f"{TRASH}/{blob.key}")

    def is_stored_anew(self, trashed: StoredBlob) -> bool:
        """Whether what is in the trash has been stored again meanwhile."""
        return self._is_there(_out_of_trash(trashed))

    def restore(self, trashed: StoredBlob) -> None:
        """Put a blob back from the trash, unless it has been stored anew."""
        self._look(_out_of_trash(trashed), self._objects.entry)

    def purge(self, trashed: StoredBlob) -> None:
        """Delete a blob from the trash for good."""
        self._objects.delete(trashed.key)

    def copies(self, digest: str) -> list[str]:
        """The keys under which a blob lies, or what was made of its pixels; the trash included."""
        return [key for key in _places(digest) if self._is_there(key)]

    def erase(self, digest: str) -> None:
        """Delete a blob with all that was made of it; return once nothing is left to be found,
        also after a power loss."""
        # Looked for anew until nothing is found: a reader or the collector may have moved it.
        while found := self.copies(digest):
            for key in found:
                self._objects.delete(key)
        for key in _places(digest):
            self._objects.flush_later(key)
        self._objects.flush()

    def put_derived(self, key: str, data: bytes) -> None:
        """Store what can be made again, such as a thumbnail."""
        self._objects.write(f"derived/{key}", hashlib.sha256(data).digest() + data)

    def get_derived(self, key: str) -> bytes | None:
        """What was derived; None if it is not there or a power loss has torn it: make it again."""
        try:
            stored = self._objects.read(f"derived/{key}")
        except BlobMissing:
            return None
        digest, data = stored[:_DIGEST_BYTES], stored[_DIGEST_BYTES:]
        return data if hashlib.sha256(data).digest() == digest else None

    def forget_derived(self, key: str) -> None:
        """Delete what was derived; what is not there is no error."""
        self._objects.delete(f"derived/{key}")

    def put_scratch(self, key: str, data: bytes) -> None:
        """Store bytes under a name, replacing what was there."""
        self._objects.write(f"scratch/{key}", data)

    def put_scratch_file(self, key: str, path: Path) -> None:
        """As `put_scratch`, for a file's content; memory stays flat."""
        self._objects.write(f"scratch/{key}", path)

    def get_scratch(self, key: str) -> bytes:
        """The bytes under a name. Raises `BlobMissing`."""
        return self._objects.read(f"scratch/{key}")

    def copy_scratch_to(self, key: str, path: Path) -> None:
        """Write the bytes under a name to a file. Raises `BlobMissing`."""
        write_whole(path, self._objects.stream(f"scratch/{key}"))

    def list_scratch(self, prefix: str) -> list[str]:
        """The names that start with a folder's name, sorted."""
        found = self._objects.entries(f"scratch/{prefix}")
        return sorted(entry.key.removeprefix("scratch/") for entry in found)

    def delete_scratch(self, key: str) -> None:
        """Forget a name; one that is not there is no error."""
        self._objects.delete(f"scratch/{key}")

    def _write(self, key: str, size: int, write: Callable[[str], None]) -> None:
        try:
            entry = self._objects.entry(key)
            there = entry.size == size and age(entry, self._clock()) < RENEW_AFTER
        except BlobMissing:
            there = False
        if not there:
            write(key)
        # One that is there may come from a process that was killed before it flushed.
        self._objects.flush_later(key)

    def _look(self, key: str, look: Callable[[str], Result]) -> Result:
        """Look a blob up, in the trash too, from where it is put back. Raises `BlobMissing`."""
        try:
            return look(key)
        except BlobMissing:
            with suppress(BlobMissing):  # another reader may have been faster
                self._objects.move(f"{TRASH}/{key}", key)
            return look(key)

    def _is_there(self, key: str) -> bool:
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


def thumbnail_key(digest: str, size: int) -> str:
    """The name of the derived entry that is an image made small."""
    return f"thumbnails/{size}/{digest}.webp"


def _places(digest: str) -> list[str]:
    """Wherever a blob or what was made of it may lie. What is moved while this is gone through in
    order goes from the trash to its place, where it is met."""
    blobs = [_key(space, digest) for space in (PLAIN, PACKED)]
    thumbnails = [f"derived/{thumbnail_key(digest, size)}" for size in THUMBNAIL_SIZES]
    return [*(f"{TRASH}/{key}" for key in blobs), *blobs, *thumbnails]


def _out_of_trash(trashed: StoredBlob) -> str:
    return trashed.key.removeprefix(f"{TRASH}/")


def _unpacked(digest: str, packed: Iterator[bytes], max_bytes: int) -> Iterator[bytes]:
    left = max_bytes
    try:
        for piece in compression.unpack(packed):
            left -= len(piece)
            if left < 0:
                raise BlobCorrupt(f"blob {digest} unpacks to more than {max_bytes:,} bytes")
            yield piece
    except compression.UnpackError as error:
        raise corrupt(digest) from error
