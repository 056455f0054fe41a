"""The states that an unfinished training resumes from, and what is noted of a job's deliveries.

Each delivery of a job writes under its own name, `resume/<version>/<attempt>-<delivery>`, and
begins by *claiming*: the state that it resumes is copied to its own name (or an empty one, to start
from nothing). A delivery that counts as dead but still runs may continue to write under its older
name; its reports are ignored by then, so resuming its state would lose the metrics between. The
claim prevents this for later deliveries: the highest name wins.

A stored state begins with the sha256 of the rest, which detects a torn copy.
"""

import hashlib
from pathlib import Path

from adapters.blobs.blobs import BlobStore
from domain.errors import Conflict

DIGEST_BYTES = hashlib.sha256().digest_size


class ResumeStates:
    """Those of a version; `attempt` is that of the current job."""

    def __init__(self, blobs: BlobStore, version_id: str, attempt: int = 1) -> None:
        self._blobs, self._attempt = blobs, attempt
        self._folder = f"resume/{version_id}"
        self._handed_back = f"handed-back/{version_id}"

    def claim(self, delivery: int) -> bytes:
        """The newest whole state of all deliveries, which becomes this one's; empty if there is
        none. Older ones are deleted, but not the one that it came from: the copy might be torn.
        Raises `Conflict` if a later delivery has begun."""
        own = self._own(delivery)
        for name in reversed(self._blobs.list_scratch(self._folder)):
            stored = self._blobs.get_scratch(name)
            digest, data = stored[:DIGEST_BYTES], stored[DIGEST_BYTES:]
            # Earlier releases stored nothing at all where a delivery began from nothing.
            if not stored or hashlib.sha256(data).digest() == digest:
                if name != own:
                    self._blobs.put_scratch(own, stored)
                self._delete(keep={name, own})
                return data
        self._blobs.put_scratch(own, hashlib.sha256(b"").digest())
        return b""

    def save(self, delivery: int, path: Path) -> None:
        """Replace a delivery's state by a file's content, which begins with room for its digest.
        Raises `Conflict` if a later delivery has begun."""
        own = self._own(delivery)
        with path.open("r+b") as file:
            file.seek(DIGEST_BYTES)
            digest = hashlib.sha256()
            while piece := file.read(1 << 20):
                digest.update(piece)
            file.seek(0)
            file.write(digest.digest())
        self._blobs.put_scratch_file(own, path)

    def check(self, delivery: int) -> None:
        """Raises `Conflict` if a later delivery has begun."""
        self._own(delivery)

    def forget(self) -> None:
        """Delete all states of the version, and what is noted of its jobs' deliveries."""
        for folder in (self._folder, self._handed_back):
            self._blobs.delete_scratch_folder(folder)

    def hand_back(self, job_key: str, delivery: int) -> None:
        """Note that a worker handed a delivery of a job back on purpose."""
        self._blobs.put_scratch(f"{self._handed_back}/{job_key}/{delivery}", b"")

    def times_handed_back(self, job_key: str) -> int:
        return len(self._blobs.list_scratch(f"{self._handed_back}/{job_key}"))

    def forget_handed_back(self, job_key: str) -> None:
        """Delete what is noted of one job's deliveries: it is over."""
        self._blobs.delete_scratch_folder(f"{self._handed_back}/{job_key}")

    def _own(self, delivery: int) -> str:
        own = f"{self._folder}/{self._attempt:06}-{delivery:06}"
        names = self._blobs.list_scratch(self._folder)
        if names and names[-1] > own:
            raise Conflict("a later delivery of the job has begun; this one is superseded")
        return own

    def _delete(self, keep: set[str]) -> None:
        for name in self._blobs.list_scratch(self._folder):
            if name not in keep:
                self._blobs.delete_scratch(name)
