"""A version's predictions as arrays, and the decisions that thresholds make of them.

The prediction rule depends on the kind of view:

- classification: the concept of the highest score, if that reaches the concept's threshold; else
  nothing, and the image is unsure. At threshold 0 this is the plain arg max.
- tagging: each concept whose score reaches its threshold.
- detection: each box whose score reaches its concept's threshold.

A *false positive* is a prediction that is not true. A *false negative* is a true concept or box
that is not predicted. In detection both are boxes, which match at IoU 0.5.
"""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from domain.dataset.image import TEST, TRAIN

Floats = NDArray[np.float64]
Scores = NDArray[np.float32]
Bools = NDArray[np.bool_]
Counts = NDArray[np.int64]

NO_BOX = -1.0
"""The score of a detection image without any predicted box."""


class Images(msgspec.Struct, frozen=True):
    """The images of a predictions file in its order; `train` is False for validation images.

    With `tested`, they are of the test set, and none of another split.
    """

    ids: list[str]
    train: Bools
    tested: bool = False

    def in_split(self, split: str) -> Bools:
        if self.tested or split == TEST:
            return np.full(len(self.ids), self.tested and split == TEST)
        return self.train if split == TRAIN else ~self.train


class Labels(msgspec.Struct, frozen=True):
    """Predictions of classification or tagging: `truth` and `scores` are images by concepts."""

    kind: str
    concepts: tuple[str, ...]
    images: Images
    truth: Bools
    scores: Scores
    single: bool
    """Whether at most one concept is predicted: the one with the highest score."""

    @property
    def size(self) -> int:
        """Bytes of memory, approximately."""
        return self.truth.nbytes + self.scores.nbytes + 100 * len(self.images.ids)

    def decide(self, thresholds: Floats) -> "DecidedLabels":
        predicted = self.scores >= thresholds.astype(np.float32)
        if self.single:
            top = np.zeros_like(predicted)
            top[np.arange(len(top)), self.scores.argmax(axis=1)] = True
            predicted &= top
        return DecidedLabels(self, predicted)

    def score_of(self, concept: int | None) -> Scores:
        """Each image's score for a concept, or its highest score."""
        scores: Scores = self.scores.max(axis=1) if concept is None else self.scores[:, concept]
        return scores


class DecidedLabels(msgspec.Struct, frozen=True):
    """Predictions of classification or tagging under thresholds; `predicted` is as `truth`."""

    predictions: Labels
    predicted: Bools

    def false_positives(self, concept: int | None) -> Counts:
        """The number in each image, for one concept or for all."""
        return _counted(self.predicted & ~self.predictions.truth, concept)

    def false_negatives(self, concept: int | None) -> Counts:
        return _counted(self.predictions.truth & ~self.predicted, concept)

    def involves(self, concept: int) -> Bools:
        """The images in which a concept is true or predicted."""
        return self.predictions.truth[:, concept] | self.predicted[:, concept]


class BoxTable(msgspec.Struct, frozen=True):
    """The boxes of all images: box `i` is in the image `image[i]`; `sides` are boxes by 4.

    The boxes of image n are those from `starts[n]` to `starts[n + 1]`.
    """

    image: NDArray[np.int64]
    starts: NDArray[np.int64]
    concept: NDArray[np.int32]
    sides: Scores

    def of(self, image: int) -> range:
        return range(int(self.starts[image]), int(self.starts[image + 1]))

    @property
    def size(self) -> int:
        return self.image.nbytes + self.concept.nbytes + self.sides.nbytes


class Boxes(msgspec.Struct, frozen=True):
    """Predictions of detection. `matched` is each predicted box's index in `truth`, or -1."""

    kind: str
    concepts: tuple[str, ...]
    images: Images
    truth: BoxTable
    predicted: BoxTable
    scores: Scores
    matched: NDArray[np.int64]

    @property
    def size(self) -> int:
        tables = self.truth.size + self.predicted.size
        return tables + self.scores.nbytes + self.matched.nbytes + 100 * len(self.images.ids)

    def decide(self, thresholds: Floats) -> "DecidedBoxes":
        kept = self.scores >= thresholds.astype(np.float32)[self.predicted.concept]
        detected = np.zeros(len(self.truth.concept), np.bool_)
        detected[self.matched[kept & (self.matched >= 0)]] = True
        return DecidedBoxes(self, kept, detected)

    def score_of(self, concept: int | None) -> Scores:
        scores = np.full(len(self.images.ids), NO_BOX, np.float32)
        boxes = slice(None) if concept is None else self.predicted.concept == concept
        np.maximum.at(scores, self.predicted.image[boxes], self.scores[boxes])
        return scores


class DecidedBoxes(msgspec.Struct, frozen=True):
    """Predictions of detection under thresholds: predicted boxes that are `kept`, and the true
    boxes that are `detected` by one of them."""

    predictions: Boxes
    kept: Bools
    detected: Bools

    def false_positives(self, concept: int | None) -> Counts:
        wrong = self.kept & (self.predictions.matched < 0)
        return self._per_image(self.predictions.predicted, wrong, concept)

    def false_negatives(self, concept: int | None) -> Counts:
        return self._per_image(self.predictions.truth, ~self.detected, concept)

    def involves(self, concept: int) -> Bools:
        true = self._per_image(self.predictions.truth, np.ones_like(self.detected), concept)
        predicted = self._per_image(self.predictions.predicted, self.kept, concept)
        involved: Bools = (true + predicted) > 0
        return involved

    def _per_image(self, table: BoxTable, which: Bools, concept: int | None) -> Counts:
        if concept is not None:
            which = which & (table.concept == concept)
        return np.bincount(table.image[which], minlength=len(self.predictions.images.ids))


PredictionArrays = Labels | Boxes
Decided = DecidedLabels | DecidedBoxes


def _counted(which: Bools, concept: int | None) -> Counts:
    counts: Any = which.sum(axis=1) if concept is None else which[:, concept].astype(np.int64)
    return counts  # type: ignore[no-any-return]


def plain(score: np.float32) -> float:
    """A score as the shortest decimal for the same 32-bit number: 0.3 instead of 0.300000012."""
    return float(str(np.float32(score)))
