"""The service that checks and measures the results of trainings, before versions are ready."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from adapters.blobs.blobs import BlobCorrupt, BlobMissing, BlobStore
from adapters.evaluation.measurement import MeasureAnswer, Measured, MeasureRequest
from adapters.postgres.log_growth import log_growth
from adapters.postgres.reactions import react_to_all
from adapters.settings import Settings
from adapters.training.resume_states import ResumeStates
from application.log.store import Store
from application.training import results
from application.training.policies import version_of
from application.training.results import FEED, Claim, ResultRefused
from domain.dataset.image import TEST, TRAIN, VALIDATION
from domain.event import Recorded
from domain.library.view import DETECTION
from domain.training.predictions import AcceptPredictions, VersionPredictionsReported
from domain.training.results import AcceptResult, differences
from domain.training.version import READY, Version

LONGEST_SECONDS = 3600.0
"""How long the measurement of one version may take."""

_LOOK_SECONDS = 0.5
_MODULE = "adapters.evaluation.measuring"


def run_results(settings: Settings, store: Store, stop: threading.Event) -> None:
    """Check results until `stop` is set. If the blob store is unavailable, it is restarted."""
    blobs_url = settings.require("blobs_url")
    blobs = BlobStore.from_url(blobs_url)
    measurer = Measurer(blobs, blobs_url, stop)

    def react(recorded: Recorded) -> None:
        results.react(store, measurer, recorded)
        of_training = not isinstance(recorded.event, VersionPredictionsReported)
        if of_training and version_of(store, recorded.entity_id).status == READY:
            # Its worker deletes it, too, unless it is killed after its last report.
            ResumeStates(blobs, recorded.entity_id).forget()

    with suppress(Stopped):
        for _ in log_growth(store.database_url, stop, results.REACTS_TO):
            react_to_all(store, FEED, results.REACTS_TO, react)


class Stopped(Exception):
    """The service was stopped in the middle of a measurement, which is repeated."""


class Measurer:
    """Checks what a worker stored, and measures its predictions in a process of their own."""

    def __init__(self, blobs: BlobStore, blobs_url: str, stop: threading.Event) -> None:
        self._blobs, self._blobs_url, self._stop = blobs, blobs_url, stop

    def measure(self, version: Version, claim: Claim) -> AcceptResult:
        """Raises `ResultRefused`, `Stopped`, and `OSError` if the blob store does not answer."""
        assert version.frozen is not None
        self._check_checkpoint(claim.checkpoint, claim.bytes)
        if claim.source is not None and not self._blobs.has(claim.source):
            raise ResultRefused(f"the archive of its code {claim.source} is not in the blob store")
        created = version.created
        request = MeasureRequest(
            self._blobs_url,
            claim.predictions,
            version.frozen.manifest,
            created.kind,
            created.concepts,
        )
        measured = self._measure(request)
        boxes = created.kind == DETECTION
        splits = claim.figures or {}
        ours = dict(measured.metrics)
        if boxes:
            # The loss of boxes does not follow from what is predicted: it stays the worker's.
            for split, theirs in splits.items():
                loss = theirs.loss if theirs else None
                ours[split] = msgspec.structs.replace(ours[split], loss=loss)
        found = [
            difference
            for split, theirs in splits.items()
            for difference in differences(split, theirs, ours[split], detection=boxes)
            if difference.metric != "loss" or measured.exact_loss
        ]
        return AcceptResult(
            claim.attempt,
            measured.predictions,
            ours[VALIDATION],
            ours[TRAIN],
            tuple(found),
        )

    def measure_predictions(
        self, version: Version, reported: VersionPredictionsReported
    ) -> AcceptPredictions:
        """Raises as `measure` does."""
        current = version.predictions[reported.purpose]
        assert current.requested is not None
        created = version.created
        request = MeasureRequest(
            self._blobs_url,
            reported.predictions,
            current.requested.manifest,
            created.kind,
            created.concepts,
            reported.purpose,
        )
        measured = self._measure(request)
        return AcceptPredictions(
            reported.purpose, reported.number, measured.predictions, measured.metrics.get(TEST)
        )

    def _measure(self, request: MeasureRequest) -> Measured:
        return _answer(*_run(msgspec.json.encode(request), self._stop))

    def _check_checkpoint(self, digest: str, size: int) -> None:
        """Read all of it: its digest must fit its content, which is never unpickled here."""
        try:
            stored = sum(map(len, self._chunks(digest)))
        except BlobMissing as missing:
            raise ResultRefused(f"the checkpoint {digest} is not in the blob store") from missing
        except BlobCorrupt as corrupt:
            raise ResultRefused(f"the checkpoint {digest} has different content") from corrupt
        if stored != size:
            raise ResultRefused(
                f"the checkpoint {digest} has {stored:,} bytes, and {size:,} were reported"
            )

    def _chunks(self, digest: str) -> Iterator[bytes]:
        return self._blobs.chunks(digest)


def _run(request: bytes, stop: threading.Event) -> tuple[int, bytes]:
    """The exit status and the output of the process. Raises `Stopped` or `ResultRefused`."""
    deadline = time.monotonic() + LONGEST_SECONDS
    argv = [sys.executable, "-m", _MODULE]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        unsent: bytes | None = request
        while True:
            try:
                output, _ = process.communicate(unsent, timeout=_LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                unsent = None  # a later call goes on with it
                if not stop.is_set() and time.monotonic() < deadline:
                    continue
                process.kill()
                if stop.is_set():
                    raise Stopped from None
                raise ResultRefused(
                    f"its predictions could not be measured within {LONGEST_SECONDS:.0f} seconds"
                ) from None
            return process.returncode, output


def _answer(status: int, output: bytes) -> Measured:
    """Raises `ResultRefused`, and `OSError` if it is worth another try."""
    if status > 0:
        raise OSError(f"predictions could not be measured: {_MODULE} ended with {status}")
    if status < 0:
        raise ResultRefused(
            f"the process that measures its predictions was killed by signal {-status}; it may"
            " have run out of memory"
        )
    answer = msgspec.json.decode(output, type=MeasureAnswer)
    if answer.measured is None:
        raise ResultRefused(answer.problem)
    return answer.measured
