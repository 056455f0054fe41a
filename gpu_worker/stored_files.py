"""The files of a job in the blob store itself, for whoever has its credentials, as
`stemma reproduce` does."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.blobs.blobs import BlobStore
from adapters.training.resume_states import DIGEST_BYTES, ResumeStates
from domain.errors import Conflict
from domain.training.jobs import Job
from domain.training.messages import ManifestLine
from stemma_trainer.store import Superseded


class StoredFiles:
    """A `JobFiles`."""

    def __init__(self, blobs: BlobStore, job: Job, delivery: int) -> None:
        self._blobs, self._job, self._delivery = blobs, job, delivery
        self._states = ResumeStates(blobs, job.version_id, job.attempt)

    def manifest(self) -> bytes:
        return b"".join(self._blobs.read_compressed(self._job.manifest))

    def image(self, line: ManifestLine) -> bytes:
        return self._blobs.get(line.blob)

    def are_stored(self, blobs: Iterable[str]) -> bool:
        return all(map(self._blobs.has, blobs))

    def file(self, digest: str) -> bytes:
        return self._blobs.get(digest)

    def put(self, kind: str, content: bytes | Path) -> str:  # noqa: ARG002
        blobs = self._blobs
        digest = blobs.put_file(content) if isinstance(content, Path) else blobs.put(content)
        blobs.flush()
        return digest

    def claim(self) -> bytes:
        with _told():
            return self._states.claim(self._delivery)

    def save(self, state: bytes) -> None:
        with _told(), tempfile.TemporaryDirectory(prefix="stemma-state-") as folder:
            path = Path(folder, "state")
            path.write_bytes(bytes(DIGEST_BYTES) + state)
            self._states.save(self._delivery, path)

    def check(self) -> None:
        with _told():
            self._states.check(self._delivery)

    def forget(self) -> None:
        self._states.forget()


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except Conflict as conflict:
        raise Superseded(conflict.detail) from conflict
