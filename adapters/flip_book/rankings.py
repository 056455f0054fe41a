"""A cache of versions' suspects, which follow from files whose content never changes."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

import msgspec

from adapters.blobs.blobs import BlobStore
from adapters.blobs.derived import DerivedEntries
from adapters.evaluation.prediction_arrays import Boxes, PredictionArrays
from adapters.flip_book.arrays import Book
from adapters.flip_book.box_suspects import recorded_boxes
from adapters.flip_book.label_quality import LabelQuality, result_key
from adapters.flip_book.suspects import Suspect
from adapters.flip_book.training_suspects import training_suspects
from adapters.flip_book.validation_suspects import validation_boxes, validation_suspects

HELD = 32
"""Lists of suspects in memory."""

Key = tuple[str, ...]


class Rankings:
    """The suspects of each split, by the files that they follow from. Safe to use from threads."""

    def __init__(self, blobs: BlobStore, blobs_url: str) -> None:
        self._qualities = DerivedEntries(blobs, blobs_url, "adapters.flip_book.label_quality")
        self._held: OrderedDict[Key, list[Suspect]] = OrderedDict()
        self._lock = threading.Lock()

    def close(self) -> None:
        self._qualities.close()

    def recorded(
        self, version_id: str, digests: Sequence[str], book: Book, labels: Mapping[str, str]
    ) -> list[Suspect]:
        """The suspects that follow from the epochs with these digests: of training images; in
        detection also of validation images."""
        rank = recorded_boxes if book.detects else training_suspects
        return self._get((version_id, *digests), lambda: rank(book, labels))

    def validation(
        self, version_id: str, digest: str, predictions: PredictionArrays, labels: Mapping[str, str]
    ) -> list[Suspect] | None:
        """The suspects among validation images; None while their label quality is computed."""
        key = version_id, digest
        if isinstance(predictions, Boxes):
            return self._get(key, lambda: validation_boxes(predictions, labels))
        stored = self._qualities.get(result_key(digest), digest)
        if stored is None:
            return None
        quality = msgspec.json.decode(stored, type=LabelQuality)
        return self._get(key, lambda: validation_suspects(predictions, quality, labels))

    def has_failed(self, digest: str) -> bool:
        """Whether the label quality of predictions cannot be computed."""
        return self._qualities.has_failed(result_key(digest))

    def _get(self, key: Key, make: Callable[[], list[Suspect]]) -> list[Suspect]:
        with self._lock:
            held = self._held.get(key)
        if held is None:
            held = make()
        with self._lock:
            self._held[key] = held
            self._held.move_to_end(key)
            while len(self._held) > HELD:
                self._held.popitem(last=False)
        return held
