"""What the worker of a trainer's job may read and write: the dataset, and what it stores."""

import hashlib
import hmac
import threading
import time
from collections import OrderedDict
from pathlib import Path

import msgspec

from adapters.blobs.blobs import BlobMissing, BlobStore
from adapters.training.job_key import job_tokens
from application.log.store import END, Store
from application.training.job_tokens import JobTokens
from domain.aggregates import VERSION
from domain.errors import Conflict, Gone, NotFound, Unauthenticated
from domain.event import name_of
from domain.training.messages import ManifestLine
from domain.training.version import (
    ENDED,
    BatchMetricsRecorded,
    DatasetFrozen,
    EpochMetricsRecorded,
    TrainingStepAdvanced,
    Version,
    VersionRetried,
)

KEPT_SECONDS = 5.0
"""How long a job is taken as it was read: a worker reads thousands of images one by one."""

KEPT_MANIFESTS = 4
_DIGEST_BYTES = hashlib.sha256().digest_size
_LEFT_OUT = [
    name_of(event) for event in (BatchMetricsRecorded, EpochMetricsRecorded, TrainingStepAdvanced)
]


class OpenJob(msgspec.Struct, frozen=True):
    """A trainer's job, as the log has it."""

    version_id: str
    attempt: int
    manifest: str
    token: str
    ended: bool


class JobAccess:
    """Jobs by the token that only their worker was given. Safe to use from many threads."""

    def __init__(self, store: Store, database_url: str, blobs: BlobStore) -> None:
        self._store, self._url, self._blobs = store, database_url, blobs
        self._tokens: JobTokens | None = None
        self._jobs: dict[str, tuple[float, OpenJob]] = {}
        self._manifests: OrderedDict[str, dict[str, str]] = OrderedDict()
        self._lock = threading.Lock()

    def job(self, version_id: str, token: str, *, ended: bool = False) -> OpenJob:
        """The job whose token it is. Raises `Unauthenticated`, and `Conflict` once it has ended
        unless `ended` is accepted, too."""
        known, job = self._jobs.get(version_id, (0.0, None))
        if job is None or time.monotonic() - known > KEPT_SECONDS:
            job = self._read(version_id)
        if job is None or not hmac.compare_digest(job.token.encode(), token.encode()):
            self._jobs.pop(version_id, None)
            raise Unauthenticated(
                "the job's token is missing, or does not belong to the version's current attempt",
                reason="a job's token is not valid",
            )
        if job.ended and not ended:
            raise Conflict("the training has ended; nothing more is stored for it")
        return job

    def _read(self, version_id: str) -> OpenJob | None:
        stream = VERSION.stream(version_id)
        events = self._store.histories([stream], upto=END, without=_LEFT_OUT)
        version: Version | None = VERSION.fold(recorded.event for recorded in events)
        if version is None or version.created.trainer is None or version.frozen is None:
            return None
        requested = [r for r in events if isinstance(r.event, (DatasetFrozen, VersionRetried))]
        if self._tokens is None:
            self._tokens = job_tokens(self._url)
        correlation = requested[-1].metadata.correlation_id
        token = self._tokens.of(version_id, version.attempt, correlation)
        ended = version.status in ENDED
        job = OpenJob(version_id, version.attempt, version.frozen.manifest, token, ended)
        if len(self._jobs) > 1000:
            self._jobs.clear()
        self._jobs[version_id] = time.monotonic(), job
        return job

    def blob_of(self, job: OpenJob, image: str) -> str:
        """The sha256 of an image of the job's dataset. Raises `NotFound`."""
        with self._lock:
            blobs = self._manifests.get(job.manifest)
            if blobs is None:
                content = b"".join(self._blobs.read_compressed(job.manifest))
                lines = msgspec.json.Decoder(ManifestLine).decode_lines(content)
                blobs = self._manifests[job.manifest] = {line.image: line.blob for line in lines}
                while len(self._manifests) > KEPT_MANIFESTS:
                    self._manifests.popitem(last=False)
            self._manifests.move_to_end(job.manifest)
        if image not in blobs:
            raise NotFound("the image is not in the version's frozen dataset")
        return blobs[image]

    def image(self, job: OpenJob, image: str) -> bytes:
        """An image's bytes. Raises `NotFound`, or `Gone` for an erased one."""
        try:
            return self._blobs.get(self.blob_of(job, image))
        except BlobMissing as missing:
            raise Gone("the image was erased") from missing

    def claim(self, job: OpenJob, delivery: int) -> bytes:
        """The newest whole state that a delivery has saved, which becomes this one's; empty if
        there is none. Raises `Conflict` if a later delivery has begun."""
        own = self._own(job, delivery)
        for name in reversed(self._blobs.list_scratch(_folder(job))):
            stored = self._blobs.get_scratch(name)
            digest, data = stored[:_DIGEST_BYTES], stored[_DIGEST_BYTES:]
            if hashlib.sha256(data).digest() == digest:
                if name != own:
                    self._blobs.put_scratch(own, stored)
                return data
        self._blobs.put_scratch(own, hashlib.sha256(b"").digest())
        return b""

    def save(self, job: OpenJob, delivery: int, path: Path) -> None:
        """Replace a delivery's state. `path` begins with room for its digest. Raises `Conflict`."""
        own = self._own(job, delivery)
        with path.open("r+b") as file:
            file.seek(_DIGEST_BYTES)
            digest = hashlib.sha256()
            while piece := file.read(1 << 20):
                digest.update(piece)
            file.seek(0)
            file.write(digest.digest())
        self._blobs.put_scratch_file(own, path)

    def forget(self, job: OpenJob) -> None:
        """Delete the states of all deliveries: nothing is left to resume."""
        self._blobs.delete_scratch_folder(_folder(job))

    def _own(self, job: OpenJob, delivery: int) -> str:
        own = f"{_folder(job)}/{job.attempt:06}-{delivery:06}"
        names = self._blobs.list_scratch(_folder(job))
        if names and names[-1] > own:
            raise Conflict("a later delivery of the job has begun; this one is superseded")
        return own


def _folder(job: OpenJob) -> str:
    return f"resume/{job.version_id}"
