"""The gallery: the images that match a query, their order, and the result for each image."""

from collections.abc import Mapping
from typing import Literal

import msgspec
import numpy as np

from adapters.evaluation.prediction_arrays import (
    Bools,
    BoxTable,
    Counts,
    Decided,
    DecidedBoxes,
    DecidedLabels,
    plain,
)
from domain.dataset.image import Box
from domain.dataset.items import image_id_of
from domain.errors import Invalid

ALL, ERRORS, FALSE_POSITIVES, FALSE_NEGATIVES = (
    "all",
    "errors",
    "false_positives",
    "false_negatives",
)
MISCLASSIFIED = "misclassified"
BY_IMAGE, HIGHEST, LOWEST = "image", "highest", "lowest"

CORRECT, UNSURE, BOTH = "correct", "unsure", "both"

DISCARDED_AT_MOST = 20
"""The most discarded predictions of each image in a list; a single image has all."""


class GalleryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """A query for images and their order. Concepts are indexes in the version's list.

    `concept` restricts `show` to that concept: to images where it is true or predicted, or to its
    errors. `true` and `predicted` are a cell of the confusion matrix; `predicted` after the last
    concept means that nothing is predicted. `from_score` skips images before this score in the
    order of `sort`.
    """

    split: str
    show: str = ALL
    concept: int | None = None
    true: int | None = None
    predicted: int | None = None
    sort: str = BY_IMAGE
    from_score: float | None = None


class GivenAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A concept or box predicted by the model; a box is `correct` if it matches a true box."""

    concept_id: str
    score: float
    threshold: float
    correct: bool
    box: Box | None = None


class TrueAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """An annotated concept or box; `found` is whether it is predicted."""

    concept_id: str
    found: bool
    box: Box | None = None


class ImageResult(msgspec.Struct, frozen=True):
    """An image's ground truth, and its predictions in descending order of score.

    Of a crop, `image_id` is its key, the image's id with `:` and a number, and `crop` is where it
    lies in the image. `outcome` is correct, misclassified or unsure in a classification, otherwise
    correct, false_positives, false_negatives or both. Images are sorted by `score`; None means that
    no box was predicted.
    """

    image_id: str
    split: str
    outcome: str
    false_positives: int
    false_negatives: int
    score: float | None
    truth: list[TrueAnswer]
    predicted: list[GivenAnswer]
    discarded: list[GivenAnswer]
    crop: Box | None = None

    @property
    def image(self) -> str:
        """The id of the image that it is, or is a crop of."""
        return image_id_of(self.image_id)


class Gallery(msgspec.Struct, frozen=True):
    """The indexes of the images that match, in the order of the query.

    `ranks` are the ranks of all images in this order, so that a page can follow an image that no
    longer matches.
    """

    images: Counts
    ranks: Counts

    @property
    def count(self) -> int:
        return len(self.images)

    def after(self, image: int | None, limit: int) -> list[int]:
        """The matches after an image, or the first ones."""
        start = 0 if image is None else self._index(image, "right")
        images: list[int] = self.images[start : start + limit].tolist()
        return images

    def before(self, image: int, limit: int) -> list[int]:
        """The last matches before an image, in the same order."""
        end = self._index(image, "left")
        images: list[int] = self.images[max(end - limit, 0) : end].tolist()
        return images

    def index(self, image: int) -> int:
        """The number of matches before an image."""
        return self._index(image, "left")

    def _index(self, image: int, side: Literal["left", "right"]) -> int:
        return int(np.searchsorted(self.ranks[self.images], self.ranks[image], side))


def gallery(decided: Decided, query: GalleryQuery) -> Gallery:
    """The images that match. Raises `Invalid` for a query that does not fit the kind of view."""
    predictions = decided.predictions
    chosen = predictions.images.in_split(query.split) & _filtered(decided, query)
    if query.true is not None or query.predicted is not None:
        chosen &= _cell(decided, query)
    if query.sort == BY_IMAGE:
        if query.from_score is not None:
            raise Invalid("from_score needs a sort by score", field="from_score")
        return Gallery(np.flatnonzero(chosen), np.arange(len(chosen)))
    scores = predictions.score_of(query.concept)
    order = np.argsort(-scores if query.sort == HIGHEST else scores, kind="stable")
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order))
    if query.from_score is not None:
        limit = np.float32(query.from_score)
        chosen &= scores <= limit if query.sort == HIGHEST else scores >= limit
    return Gallery(order[chosen[order]], ranks)


def _filtered(decided: Decided, query: GalleryQuery) -> Bools:
    concept = query.concept
    match query.show:
        case "all":
            if concept is None:
                return np.ones(len(decided.predictions.images.ids), np.bool_)
            return decided.involves(concept)
        case "false_positives":
            return decided.false_positives(concept) > 0
        case "false_negatives":
            return decided.false_negatives(concept) > 0
        case _:
            return decided.false_positives(concept) + decided.false_negatives(concept) > 0


def _cell(decided: Decided, query: GalleryQuery) -> Bools:
    if not isinstance(decided, DecidedLabels) or not decided.predictions.single:
        raise Invalid("only a classification has a confusion matrix", field="true")
    chosen = np.ones(len(decided.predicted), np.bool_)
    if query.true is not None:
        chosen &= decided.predictions.truth[:, query.true]
    if query.predicted is not None:
        nothing = query.predicted == len(decided.predictions.concepts)
        predicted = decided.predicted
        chosen &= ~predicted.any(axis=1) if nothing else predicted[:, query.predicted]
    return chosen


class Evaluator:
    """Makes the result of each image: its outcome, ground truth and predictions."""

    def __init__(
        self,
        decided: Decided,
        thresholds: list[float],
        concept: int | None,
        crops: Mapping[str, Box] | None = None,
    ) -> None:
        self._decided = decided
        self._crops = crops or {}
        self._thresholds = thresholds
        self._scores = decided.predictions.score_of(concept)
        self._wrong = decided.false_positives(None)
        self._missed = decided.false_negatives(None)

    def outcomes(self) -> Counts:
        """False positives and false negatives, a row for each image."""
        return np.stack([self._wrong, self._missed], axis=1)

    def evaluate(self, image: int, discarded_at_most: int | None = None) -> ImageResult:
        images = self._decided.predictions.images
        wrong, missed = int(self._wrong[image]), int(self._missed[image])
        if isinstance(self._decided, DecidedLabels):
            truth, by_score = self._labels(self._decided, image)
        else:
            truth, by_score = self._boxes(self._decided, image)
        predicted = [prediction for kept, prediction in by_score if kept]
        discarded = [prediction for kept, prediction in by_score if not kept]
        score = float(self._scores[image])
        return ImageResult(
            image_id=images.ids[image],
            split="train" if images.train[image] else "validation",
            outcome=self._outcome(wrong, missed),
            false_positives=wrong,
            false_negatives=missed,
            score=plain(self._scores[image]) if score >= 0 else None,
            truth=truth,
            predicted=predicted,
            discarded=discarded[:discarded_at_most],
            crop=self._crops.get(images.ids[image]),
        )

    def _outcome(self, wrong: int, missed: int) -> str:
        if not wrong and not missed:
            return CORRECT
        if isinstance(self._decided, DecidedLabels) and self._decided.predictions.single:
            return MISCLASSIFIED if wrong else UNSURE
        if wrong and missed:
            return BOTH
        return FALSE_POSITIVES if wrong else FALSE_NEGATIVES

    def _labels(
        self, decided: DecidedLabels, image: int
    ) -> tuple[list[TrueAnswer], list[tuple[bool, GivenAnswer]]]:
        predictions = decided.predictions
        true, predicted = predictions.truth[image], decided.predicted[image]
        truth = [
            TrueAnswer(predictions.concepts[c], bool(predicted[c]))
            for c in np.flatnonzero(true).tolist()
        ]
        order = np.argsort(-predictions.scores[image], kind="stable").tolist()
        by_score = [
            (
                bool(predicted[c]),
                GivenAnswer(
                    predictions.concepts[c],
                    plain(predictions.scores[image, c]),
                    self._thresholds[c],
                    bool(true[c]),
                ),
            )
            for c in order
        ]
        return truth, by_score

    def _boxes(
        self, decided: DecidedBoxes, image: int
    ) -> tuple[list[TrueAnswer], list[tuple[bool, GivenAnswer]]]:
        predictions = decided.predictions
        truth = [
            TrueAnswer(
                predictions.concepts[predictions.truth.concept[b]],
                bool(decided.detected[b]),
                _box(predictions.truth, b),
            )
            for b in predictions.truth.of(image)
        ]
        boxes = predictions.predicted.of(image)
        by_score = [
            (
                bool(decided.kept[b]),
                GivenAnswer(
                    predictions.concepts[predictions.predicted.concept[b]],
                    plain(predictions.scores[b]),
                    self._thresholds[predictions.predicted.concept[b]],
                    bool(predictions.matched[b] >= 0),
                    _box(predictions.predicted, b),
                ),
            )
            for b in sorted(boxes, key=lambda b: -predictions.scores[b])
        ]
        return truth, by_score


def _box(table: BoxTable, number: int) -> Box:
    x, y, width, height = (plain(side) for side in table.sides[number])
    return Box(x, y, width, height)
