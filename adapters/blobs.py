"""The blob store: image bytes, manifests and checkpoints under their sha256, on disk or S3."""

import hashlib
from pathlib import Path
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import NotFoundError
from obstore.store import LocalStore, ObjectStore, from_url


class BlobCorrupt(Exception):
    """The bytes under a digest are not the bytes that the digest names."""


class BlobMissing(Exception):
    """No bytes are stored under this key."""


class BlobStore:
    """Content-addressed, written once, verified whenever read.

    Beside the blobs it keeps *scratch* entries: named, overwritten, deleted (the checkpoints that
    an interrupted training resumes from). Both kinds are written atomically.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    @classmethod
    def from_url(cls, url: str) -> "BlobStore":
        """Open `file:///folder` (made if absent) or `s3://bucket/prefix` (keys from AWS_*)."""
        parts = urlsplit(url)
        if parts.scheme == "file":
            folder = Path(unquote(parts.path))
            folder.mkdir(parents=True, exist_ok=True)
            return cls(LocalStore(folder))
        return cls(from_url(url))

    def put(self, data: bytes) -> str:
        """Store bytes and return their sha256 in hexadecimal; storing them again does nothing."""
        digest = hashlib.sha256(data).hexdigest()
        if not self.has(digest):
            obstore.put(self._store, _blob_key(digest), data)
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes of a digest. Raises `BlobMissing`, or `BlobCorrupt` if they have changed."""
        data = self._read(_blob_key(digest))
        if hashlib.sha256(data).hexdigest() != digest:
            raise BlobCorrupt(f"blob {digest} does not have the content its name promises")
        return data

    def has(self, digest: str) -> bool:
        try:
            obstore.head(self._store, _blob_key(digest))
        except (FileNotFoundError, NotFoundError):
            return False
        return True

    def put_scratch(self, key: str, data: bytes) -> None:
        """Store bytes under a name, replacing what was there."""
        obstore.put(self._store, f"scratch/{key}", data)

    def get_scratch(self, key: str) -> bytes:
        """The bytes under a name. Raises `BlobMissing`."""
        return self._read(f"scratch/{key}")

    def list_scratch(self, prefix: str) -> list[str]:
        """The names that start with a folder's name, sorted."""
        found = obstore.list(self._store, prefix=f"scratch/{prefix}").collect()
        return sorted(entry["path"].removeprefix("scratch/") for entry in found)

    def delete_scratch(self, key: str) -> None:
        """Forget a name; one that is not there is no error."""
        try:
            obstore.delete(self._store, f"scratch/{key}")
        except (FileNotFoundError, NotFoundError):
            return

    def _read(self, key: str) -> bytes:
        try:
            return obstore.get(self._store, key).bytes().to_bytes()
        except (FileNotFoundError, NotFoundError) as error:
            raise BlobMissing(f"nothing is stored under {key}") from error


def _blob_key(digest: str) -> str:
    return f"sha256/{digest[:2]}/{digest}"
