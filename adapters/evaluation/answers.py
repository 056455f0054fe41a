"""A version's predictions as arrays, and what becomes of them under given thresholds.

Predicted are, by kind of view:

- classification: the concept of the highest score, if that reaches the concept's threshold; else
  nothing, and the image is unsure. At threshold 0 this is the plain arg max.
- tagging: each concept whose score reaches its threshold.
- detection: each box whose score reaches its concept's threshold.

A *false positive* is a predicted answer that is not true, a *false negative* a true one that is
not predicted. Of detection these are boxes, which match at IoU 0.5.
"""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Scores = NDArray[np.float32]
Bools = NDArray[np.bool_]
Counts = NDArray[np.int64]

NO_BOX = -1.0
"""The score of an image of detection in which no box was predicted, whatever its score."""


class Images(msgspec.Struct, frozen=True):
    """The images of a predictions file in its order; `train` says which split each is of."""

    ids: list[str]
    train: Bools

    def in_split(self, split: str) -> Bools:
        return self.train if split == "train" else ~self.train


class Labels(msgspec.Struct, frozen=True):
    """Classification or tagging: `truth` and `scores` are images by concepts."""

    kind: str
    concepts: tuple[str, ...]
    images: Images
    truth: Bools
    scores: Scores
    single: bool
    """Whether one concept at most is predicted: the one of the highest score."""

    @property
    def size(self) -> int:
        """Bytes held, about."""
        return self.truth.nbytes + self.scores.nbytes + 100 * len(self.images.ids)

    def decide(self, thresholds: Floats) -> "DecidedLabels":
        predicted = self.scores >= thresholds.astype(np.float32)
        if self.single:
            top = np.zeros_like(predicted)
            top[np.arange(len(top)), self.scores.argmax(axis=1)] = True
            predicted &= top
        return DecidedLabels(self, predicted)

    def score_of(self, concept: int | None) -> Scores:
        """The score by which images are sorted: of a concept, or the highest of all."""
        found: Scores = self.scores.max(axis=1) if concept is None else self.scores[:, concept]
        return found


class DecidedLabels(msgspec.Struct, frozen=True):
    answers: Labels
    predicted: Bools

    def false_positives(self, concept: int | None) -> Counts:
        """How many each image has: of a concept, or of all."""
        return _counted(self.predicted & ~self.answers.truth, concept)

    def false_negatives(self, concept: int | None) -> Counts:
        return _counted(self.answers.truth & ~self.predicted, concept)

    def speaks_of(self, concept: int) -> Bools:
        """The images that hold a concept or are predicted to."""
        return self.answers.truth[:, concept] | self.predicted[:, concept]


class BoxTable(msgspec.Struct, frozen=True):
    """Boxes of all images: the box `i` is in the image `image[i]`; `sides` are boxes by 4.

    The boxes of an image lie together: those of image n from `starts[n]` to `starts[n + 1]`.
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
    """Detection. `matched` is the true box that a predicted one found, as a place in `truth`."""

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
        found = np.zeros(len(self.truth.concept), np.bool_)
        found[self.matched[kept & (self.matched >= 0)]] = True
        return DecidedBoxes(self, kept, found)

    def score_of(self, concept: int | None) -> Scores:
        found = np.full(len(self.images.ids), NO_BOX, np.float32)
        of = slice(None) if concept is None else self.predicted.concept == concept
        np.maximum.at(found, self.predicted.image[of], self.scores[of])
        return found


class DecidedBoxes(msgspec.Struct, frozen=True):
    """`kept` predicted boxes, and the true boxes that were `found` by one of them."""

    answers: Boxes
    kept: Bools
    found: Bools

    def false_positives(self, concept: int | None) -> Counts:
        wrong = self.kept & (self.answers.matched < 0)
        return self._per_image(self.answers.predicted, wrong, concept)

    def false_negatives(self, concept: int | None) -> Counts:
        return self._per_image(self.answers.truth, ~self.found, concept)

    def speaks_of(self, concept: int) -> Bools:
        true = self._per_image(self.answers.truth, np.ones_like(self.found), concept)
        said: Bools = (true + self._per_image(self.answers.predicted, self.kept, concept)) > 0
        return said

    def _per_image(self, table: BoxTable, which: Bools, concept: int | None) -> Counts:
        if concept is not None:
            which = which & (table.concept == concept)
        return np.bincount(table.image[which], minlength=len(self.answers.images.ids))


Answers = Labels | Boxes
Decided = DecidedLabels | DecidedBoxes


def _counted(which: Bools, concept: int | None) -> Counts:
    found: Any = which.sum(axis=1) if concept is None else which[:, concept].astype(np.int64)
    return found  # type: ignore[no-any-return]


def plain(score: np.float32) -> float:
    """A score as the shortest decimal that is the same 32-bit number: 0.3, and not 0.300000012."""
    return float(str(np.float32(score)))
