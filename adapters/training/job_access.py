"""What the worker of a trainer's job may read and write: the dataset, and what it stores."""

import hashlib
import hmac
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from adapters.blobs.blobs import BlobMissing, BlobStore
from adapters.training.job_key import job_tokens
from application.log.store import END, Store
from application.training.job_tokens import JobTokens
from domain.aggregates import VERSION
from domain.errors import Conflict, Gone, NotFound, Unauthenticated
from domain.event import name_of
from domain.training.manifest import canonical_line, without_truth
from domain.training.messages import ManifestLine, Purpose
from domain.training.predictions import Requested, VersionTestEvaluationRequested
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
    """A trainer's job, as the log has it. `checkpoint` are the weights that it predicts with; a
    training has none."""

    version_id: str
    attempt: int
    manifest: str
    token: str
    ended: bool
    purpose: Purpose = Purpose.TRAINING
    checkpoint: str | None = None

    @property
    def trains(self) -> bool:
        return self.purpose == Purpose.TRAINING


class JobAccess:
    """Jobs by the token that only their worker was given. Safe to use from many threads."""

    def __init__(self, store: Store, database_url: str, blobs: BlobStore) -> None:
        self._store, self._url, self._blobs = store, database_url, blobs
        self._tokens: JobTokens | None = None
        self._jobs: dict[str, tuple[float, list[OpenJob]]] = {}
        self._manifests: OrderedDict[str, dict[str, str]] = OrderedDict()
        self._lock = threading.Lock()

    def job(self, version_id: str, token: str, *, ended: bool = False) -> OpenJob:
        """The job whose token it is. Raises `Unauthenticated`, and `Conflict` once it has ended
        unless `ended` is accepted, too."""
        known, jobs = self._jobs.get(version_id, (0.0, []))
        if time.monotonic() - known > KEPT_SECONDS:
            jobs = []
        job = _having(token, jobs) or _having(token, self._read(version_id))
        if job is None:
            raise Unauthenticated(
                "the job's token is missing, or does not belong to the version's current attempt",
                reason="a job's token is not valid",
            )
        if job.ended and not ended:
            what = "training" if job.trains else "request for predictions"
            raise Conflict(f"the {what} has ended; nothing more is stored for it")
        return job

    def training(self, version_id: str, token: str, *, ended: bool = False) -> OpenJob:
        """As `job`, for what only a training stores."""
        job = self.job(version_id, token, ended=ended)
        if not job.trains:
            raise Conflict("this job is to predict; it stores nothing but predictions")
        return job

    def _read(self, version_id: str) -> list[OpenJob]:
        stream = VERSION.stream(version_id)
        events = self._store.histories([stream], upto=END, without=_LEFT_OUT)
        version: Version | None = VERSION.fold(recorded.event for recorded in events)
        if version is None or version.created.trainer is None or version.frozen is None:
            return []
        if self._tokens is None:
            self._tokens = job_tokens(self._url)
        tokens = self._tokens
        jobs: list[OpenJob] = []
        for recorded in events:
            correlation = recorded.metadata.correlation_id
            if isinstance(recorded.event, (DatasetFrozen, VersionRetried)):
                number = version.attempt
                job = OpenJob(
                    version_id,
                    number,
                    version.frozen.manifest,
                    tokens.of(version_id, number, correlation),
                    version.status in ENDED,
                )
            elif isinstance(recorded.event, Requested) and recorded.event.by_trainer:
                job = _prediction(version_id, recorded.event, version, correlation, tokens)
            else:
                continue
            # Of each purpose only the newest job counts.
            jobs = [other for other in jobs if other.purpose != job.purpose] + [job]
        if len(self._jobs) > 1000:
            self._jobs.clear()
        self._jobs[version_id] = time.monotonic(), jobs
        return jobs

    def manifest(self, job: OpenJob) -> Iterator[bytes]:
        """The lines of the job's dataset; of one that predicts, without what is true of them."""
        content = self._blobs.read_compressed(job.manifest)
        if job.trains:
            return content
        lines = msgspec.json.Decoder(ManifestLine).decode_lines(b"".join(content))
        return map(canonical_line, map(without_truth, lines))

    def checkpoint(self, job: OpenJob) -> Iterator[bytes]:
        """The weights that the job predicts with. Raises `NotFound` or `Gone`."""
        if job.checkpoint is None:
            raise NotFound("a training has no checkpoint to read")
        if not self._blobs.has(job.checkpoint):
            raise Gone("the checkpoint is no longer stored")
        return self._blobs.chunks(job.checkpoint)

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


def _having(token: str, jobs: Iterable[OpenJob]) -> OpenJob | None:
    """The job with this token. It may be requested after the others were read."""
    for job in jobs:
        if hmac.compare_digest(job.token.encode(), token.encode()):
            return job
    return None


def _prediction(
    version_id: str, requested: Requested, version: Version, correlation: str, tokens: JobTokens
) -> OpenJob:
    tests = isinstance(requested, VersionTestEvaluationRequested)
    purpose = Purpose.TEST if tests else Purpose.SUGGESTIONS
    current = version.predictions[purpose]
    return OpenJob(
        version_id,
        requested.number,
        requested.manifest,
        tokens.of(version_id, requested.number, correlation, purpose),
        current.number != requested.number or not current.running or current.reported is not None,
        purpose,
        requested.checkpoint,
    )


def _folder(job: OpenJob) -> str:
    return f"resume/{job.version_id}"
