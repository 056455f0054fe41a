"""A cache of versions' predictions, and of the metrics that depend on nothing else."""

import threading
from collections import OrderedDict

import msgspec

from adapters.blobs.blobs import BlobStore
from adapters.blobs.derived import DerivedEntries
from adapters.evaluation import metrics
from adapters.evaluation.coco import CocoPrecision, result_key
from adapters.evaluation.loading import load_blob
from adapters.evaluation.metrics import ConceptFacts
from adapters.evaluation.prediction_arrays import Boxes, PredictionArrays

HELD_BYTES = 128_000_000
"""The most bytes of predictions in memory; the ones used last stay even if they are larger."""


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
        self._coco = DerivedEntries(blobs, blobs_url, "adapters.evaluation.coco")

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
            return Facts(facts, self._coco.has_failed(result_key(digest, split)))
        completed = [
            msgspec.structs.replace(
                fact, average_precision=coco.at_50, average_precision_coco=coco.average
            )
            for fact, coco in zip(facts, precisions, strict=True)
        ]
        self._facts[key] = completed
        return Facts(completed, True)

    def _coco_of(self, digest: str, split: str) -> list[CocoPrecision] | None:
        result = self._coco.get(result_key(digest, split), digest, split)
        return None if result is None else msgspec.json.decode(result, type=list[CocoPrecision])

    def _drop_oldest(self) -> None:
        cached = self._cached
        while len(cached) > 1 and sum(arrays.size for arrays in cached.values()) > HELD_BYTES:
            cached.popitem(last=False)


def _has_coco(facts: list[ConceptFacts]) -> bool:
    return any(fact.average_precision is not None for fact in facts)
