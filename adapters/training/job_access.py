"""What the worker of a job may read and store, by the token that only the job brings."""

import hmac
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from adapters.blobs.blobs import BlobCorrupt, BlobMissing, BlobStore
from adapters.training.job_key import job_tokens
from adapters.training.resume_states import ResumeStates
from application.log.store import END, Store
from application.training.job_tokens import JobTokens
from domain.aggregates import VERSION
from domain.errors import Conflict, Gone, NotFound, TrainingEnded, Unauthenticated
from domain.event import Recorded, name_of
from domain.training.manifest import canonical_line, without_truth
from domain.training.messages import ManifestLine, Purpose, job_key
from domain.training.onnx import VersionOnnxRequested
from domain.training.predictions import VersionSuggestionsRequested, VersionTestEvaluationRequested
from domain.training.version import (
    ENDED,
    FAILED,
    BatchMetricsRecorded,
    BestCheckpointSaved,
    DatasetFrozen,
    EpochMetricsRecorded,
    TrainingStepAdvanced,
    Version,
    VersionRetried,
)

KEPT_SECONDS = 5.0
"""How long jobs are taken as they were read: a worker reads thousands of images one by one."""

KEPT_MANIFESTS = 4
MOST_IN_A_PACK, PACK_BYTES = 1_000, 32 << 20
_LOOKS = 16
"""Files that are looked for at once: a bucket answers each after some milliseconds."""
MISSING, DAMAGED = -1, -2
"""Lengths in a pack of an image whose bytes are gone, or are not those of its digest."""

_LEFT_OUT = [
    name_of(event) for event in (BatchMetricsRecorded, EpochMetricsRecorded, TrainingStepAdvanced)
]
_OTHERS: Mapping[type, Purpose] = {
    VersionTestEvaluationRequested: Purpose.TEST,
    VersionSuggestionsRequested: Purpose.SUGGESTIONS,
    VersionOnnxRequested: Purpose.ONNX,
}


class OpenJob(msgspec.Struct, frozen=True):
    """A job, as the log has it; a `failed` training may be retried. `files` are those besides the
    images that its version names. With `by_trainer` it is for a trainer's worker to predict: it is
    given no annotations of the images, and stores predictions alone."""

    version_id: str
    attempt: int
    manifest: str
    token: str
    ended: bool
    failed: bool = False
    purpose: Purpose = Purpose.TRAINING
    files: frozenset[str] = frozenset()
    by_trainer: bool = False

    @property
    def key(self) -> str:
        return job_key(self.purpose, self.attempt)


class JobAccess:
    """Jobs by their tokens. Safe to use from many threads.

    A store that is away is not taken for one that lacks a file: what reads images raises `OSError`.
    """

    def __init__(self, store: Store, database_url: str, blobs: BlobStore) -> None:
        self._store, self._url, self._blobs = store, database_url, blobs
        self._tokens: JobTokens | None = None
        self._jobs: dict[str, tuple[float, list[OpenJob]]] = {}
        self._manifests: OrderedDict[str, dict[str, str]] = OrderedDict()
        self._lock = threading.Lock()

    def job(self, version_id: str, token: str, *, ended: bool = False) -> OpenJob:
        """The job whose token it is. Raises `Unauthenticated`, and `TrainingEnded` unless `ended`
        is accepted, too."""
        job = self._known(version_id, token) or self._read_anew(version_id, token)
        if job is None:
            raise Unauthenticated(
                "the job's token is missing, or does not belong to a current job of the version",
                reason="a job's token is not valid",
            )
        if job.ended and not ended:
            raise TrainingEnded("the training has ended; nothing more is stored for it")
        return job

    def training(self, version_id: str, token: str) -> OpenJob:
        """As `job`, for what a trainer's worker does not store when it predicts."""
        job = self.job(version_id, token)
        if job.by_trainer:
            raise Conflict("this job is to predict; it stores nothing but predictions")
        return job

    def manifest(self, job: OpenJob) -> bytes:
        """The lines of the job's dataset."""
        content = b"".join(self._blobs.read_compressed(job.manifest))
        if not job.by_trainer:
            return content
        lines = msgspec.json.Decoder(ManifestLine).decode_lines(content)
        return b"".join(map(canonical_line, map(without_truth, lines)))

    def _known(self, version_id: str, token: str) -> OpenJob | None:
        known, jobs = self._jobs.get(version_id, (0.0, []))
        return _by_token(jobs, token) if time.monotonic() - known <= KEPT_SECONDS else None

    def _read_anew(self, version_id: str, token: str) -> OpenJob | None:
        jobs = self.jobs_of(version_id)
        if len(self._jobs) > 1000:
            self._jobs.clear()
        self._jobs[version_id] = time.monotonic(), jobs
        return _by_token(jobs, token)

    def jobs_of(self, version_id: str) -> list[OpenJob]:
        """The current jobs of a version: its training's, and the newest of each other purpose."""
        stream = VERSION.stream(version_id)
        events = self._store.histories([stream], upto=END, without=_LEFT_OUT)
        version: Version | None = VERSION.fold(recorded.event for recorded in events)
        if version is None:
            return []
        if self._tokens is None:
            self._tokens = job_tokens(self._url)
        return list(_jobs(version_id, version, events, self._tokens))

    def _blobs_by_image(self, job: OpenJob) -> dict[str, str]:
        with self._lock:
            blobs = self._manifests.get(job.manifest)
            if blobs is None:
                content = b"".join(self._blobs.read_compressed(job.manifest))
                lines = msgspec.json.Decoder(ManifestLine).decode_lines(content)
                blobs = self._manifests[job.manifest] = {line.image: line.blob for line in lines}
                while len(self._manifests) > KEPT_MANIFESTS:
                    self._manifests.popitem(last=False)
            self._manifests.move_to_end(job.manifest)
        return blobs

    def image(self, job: OpenJob, image: str) -> bytes:
        """An image's bytes. Raises `NotFound`, or `Gone` for an erased one."""
        blob = self._blobs_by_image(job).get(image)
        if blob is None:
            raise NotFound("the image is not in the version's frozen dataset")
        try:
            return self._blobs.get(blob)
        except BlobMissing as missing:
            self._blobs.check()
            raise Gone("the image was erased") from missing

    def pack(self, job: OpenJob, first: int, count: int) -> Iterator[bytes]:
        """The files of the dataset's images from number `first` on, in the order of the manifest,
        each once: a length of 8 bytes, signed and big-endian, and the content. There are `count` at
        most, and fewer beyond `PACK_BYTES`. Instead of content, `MISSING` or `DAMAGED`."""
        blobs = list(dict.fromkeys(self._blobs_by_image(job).values()))
        return self._packed(blobs[first : first + count])

    def _packed(self, blobs: Sequence[str]) -> Iterator[bytes]:
        size = 0
        for blob in blobs:
            if size >= PACK_BYTES:
                return
            try:
                content = self._blobs.get(blob)
            except (BlobMissing, BlobCorrupt) as error:
                self._blobs.check()
                lost = MISSING if isinstance(error, BlobMissing) else DAMAGED
                yield lost.to_bytes(8, signed=True)
                continue
            size += len(content)
            yield len(content).to_bytes(8, signed=True) + content

    def missing(self, job: OpenJob) -> list[str]:
        """The digests of the dataset's files whose bytes are gone."""
        blobs = list(dict.fromkeys(self._blobs_by_image(job).values()))
        with ThreadPoolExecutor(_LOOKS, thread_name_prefix="missing") as pool:
            there = list(pool.map(self._blobs.has, blobs))
        if not all(there):
            self._blobs.check()
        return [blob for blob, has in zip(blobs, there, strict=True) if not has]

    def states(self, job: OpenJob) -> ResumeStates:
        return ResumeStates(self._blobs, job.version_id, job.attempt)

    def forget(self, job: OpenJob) -> None:
        """Delete what is left of a job's deliveries; the states of a training, too, except for a
        failed one, which a retry resumes."""
        if job.purpose != Purpose.TRAINING:
            self.states(job).forget_handed_back(job.key)
        elif not job.failed:
            self.states(job).forget()


def _by_token(jobs: Sequence[OpenJob], token: str) -> OpenJob | None:
    found = [job for job in jobs if hmac.compare_digest(job.token.encode(), token.encode())]
    return found[0] if found else None


def _jobs(
    version_id: str, version: Version, events: Sequence[Recorded], tokens: JobTokens
) -> Iterator[OpenJob]:
    created, frozen = version.created, version.frozen
    if frozen is None:
        return
    saved = {r.event.checkpoint for r in events if isinstance(r.event, BestCheckpointSaved)}
    requests = {type(recorded.event): recorded for recorded in events}
    if created.adopted is None:
        initial = [created.initial_weights.blob] if created.initial_weights else []
        dispatched = [r for r in events if isinstance(r.event, DatasetFrozen | VersionRetried)][-1]
        yield OpenJob(
            version_id,
            version.attempt,
            frozen.manifest,
            tokens.of(version_id, version.attempt, dispatched.metadata.correlation_id),
            version.status in ENDED,
            version.status == FAILED,
            files=frozenset([*saved, *initial]),
        )
    for kind, purpose in _OTHERS.items():
        recorded, current = requests.get(kind), version.predictions.get(purpose)
        if recorded is None or current is None:
            continue
        correlation = recorded.metadata.correlation_id
        yield OpenJob(
            version_id,
            current.number,
            getattr(recorded.event, "manifest", frozen.manifest),
            tokens.of(version_id, current.number, correlation, purpose),
            not current.running or current.reported is not None,
            purpose=purpose,
            files=frozenset([*saved, recorded.event.checkpoint]),  # type: ignore[attr-defined]
            by_trainer=current.by_trainer,
        )
