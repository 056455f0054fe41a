"""A cache of versions' predictions, and of the metrics that depend on nothing else."""

import logging
import subprocess
import sys
import threading
from collections import OrderedDict
from contextlib import suppress

import msgspec

from adapters.blobs.blobs import BlobStore
from adapters.evaluation import metrics
from adapters.evaluation.coco import CocoPrecision, result_key
from adapters.evaluation.loading import load_blob
from adapters.evaluation.metrics import ConceptFacts
from adapters.evaluation.prediction_arrays import Boxes, PredictionArrays

HELD_BYTES = 128_000_000
"""The most bytes of predictions in memory; the ones used last stay even if they are larger."""

FIRST_WAIT_SECONDS = 1.5

log = logging.getLogger(__name__)


class Facts(msgspec.Struct, frozen=True):
    """The facts of each concept, in order; not `complete` while COCO's metrics are computed."""

    concepts: list[ConceptFacts]
    complete: bool


class Predictions:
    """A cache by digest, whose content never changes. Safe to use from many threads."""

    def __init__(self, blobs: BlobStore, blobs_url: str) -> None:
        self._blobs = blobs
        self._cached: OrderedDict[str, PredictionArrays] = OrderedDict()
        self._facts: dict[tuple[str, str], list[ConceptFacts]] = {}
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._coco = _CocoProcesses(blobs_url)

    def close(self) -> None:
        self._coco.close()

    def get(self, digest: str) -> PredictionArrays:
        """The predictions with a digest.

        Raises `BlobMissing`, `BlobCorrupt` or `PredictionsUnreadable`.
        """
        with self._loading:
            predictions = self._cached.get(digest)
            if predictions is None:
                predictions = self._cached[digest] = load_blob(self._blobs, digest)
                self._drop_oldest()
            self._cached.move_to_end(digest)
            return predictions

    def facts(self, digest: str, split: str) -> Facts:
        """What does not depend on thresholds; without COCO's metrics while they are computed."""
        key = digest, split
        with self._lock:
            facts = self._facts.get(key)
            if facts is None:
                predictions = self.get(digest)
                within = predictions.images.in_split(split)
                concepts = range(len(predictions.concepts))
                facts = [metrics.facts(predictions, concept, within) for concept in concepts]
                self._facts[key] = facts
        predictions = self.get(digest)
        if not isinstance(predictions, Boxes) or not facts or _has_coco(facts):
            return Facts(facts, True)
        precisions = self._coco_of(digest, split)
        if precisions is None:
            return Facts(facts, self._coco.has_failed(digest, split))
        completed = [
            msgspec.structs.replace(
                fact, average_precision=coco.at_50, average_precision_coco=coco.average
            )
            for fact, coco in zip(facts, precisions, strict=True)
        ]
        self._facts[key] = completed
        return Facts(completed, True)

    def _coco_of(self, digest: str, split: str) -> list[CocoPrecision] | None:
        result = self._blobs.get_derived(result_key(digest, split))
        if result is None:
            self._coco.compute(digest, split, FIRST_WAIT_SECONDS)
            result = self._blobs.get_derived(result_key(digest, split))
        return None if result is None else msgspec.json.decode(result, type=list[CocoPrecision])

    def _drop_oldest(self) -> None:
        cached = self._cached
        while len(cached) > 1 and sum(arrays.size for arrays in cached.values()) > HELD_BYTES:
            cached.popitem(last=False)


def _has_coco(facts: list[ConceptFacts]) -> bool:
    return any(fact.average_precision is not None for fact in facts)


class _CocoProcesses:
    """Computes COCO's metrics in one process at a time; callers meanwhile ask again later."""

    def __init__(self, blobs_url: str) -> None:
        self._blobs_url = blobs_url
        self._lock = threading.Lock()
        self._running: tuple[tuple[str, str], subprocess.Popen[bytes]] | None = None
        self._failed: set[tuple[str, str]] = set()

    def has_failed(self, digest: str, split: str) -> bool:
        return (digest, split) in self._failed

    def compute(self, digest: str, split: str, seconds: float) -> None:
        """Start computing the metrics; the first caller waits for them up to `seconds`."""
        key = digest, split
        with self._lock:
            self._reap()
            if key in self._failed:
                return
            if self._running is not None:
                return
            process = self._start(digest, split)
            self._running = key, process
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        with self._lock:
            self._reap()

    def close(self) -> None:
        with self._lock:
            if self._running is not None:
                _, process = self._running
                process.kill()
                process.wait()
                self._running = None

    def _start(self, digest: str, split: str) -> subprocess.Popen[bytes]:
        module = "adapters.evaluation.coco"
        return subprocess.Popen(
            [sys.executable, "-m", module, self._blobs_url, digest, split],
            # The process ends when this pipe is closed, at the latest when this process ends.
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def _reap(self) -> None:
        if self._running is None:
            return
        key, process = self._running
        if process.poll() is None:
            return
        if process.returncode != 0:
            log.error("computing COCO's metrics of %s (%s) failed: %s", *key, process.returncode)
            self._failed.add(key)
        if process.stdin is not None:
            process.stdin.close()
        self._running = None
