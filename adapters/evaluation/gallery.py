"""The gallery: which images to show under given thresholds, in what order, and their answers."""

from typing import Literal

import msgspec
import numpy as np

from adapters.evaluation.answers import (
    Bools,
    BoxTable,
    Counts,
    Decided,
    DecidedBoxes,
    DecidedLabels,
    plain,
)
from domain.dataset.image import Box
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
"""Discarded answers that a list has of each image; a single image has all."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which images to show, and in what order. Concepts are places in the version's list.

    `concept` narrows to images that hold it or are predicted to, or have an error of it. `true` and
    `said` are a cell of the confusion matrix; `said` beyond the last concept is nothing predicted.
    `from_score` leaves out what comes before this score in the order asked for.
    """

    split: str
    show: str = ALL
    concept: int | None = None
    true: int | None = None
    said: int | None = None
    sort: str = BY_IMAGE
    from_score: float | None = None


class GivenAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """An answer by the model: `correct` says whether it is true, of a box whether it found one."""

    concept_id: str
    score: float
    threshold: float
    correct: bool
    box: Box | None = None


class TrueAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is annotated; `found` says whether it is predicted."""

    concept_id: str
    found: bool
    box: Box | None = None


class JudgedImage(msgspec.Struct, frozen=True):
    """An image's truth and predictions, each by falling score.

    `outcome` is correct, misclassified or unsure of a classification; else correct,
    false_positives, false_negatives or both. `score` is what images are sorted by; None where
    nothing was found at all.
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


class Gallery(msgspec.Struct, frozen=True):
    """The places of the images that match, in the order asked for.

    `ranks` are the ranks of all images in this order, so that a page follows an image even if
    that one does not match any more.
    """

    places: Counts
    ranks: Counts

    @property
    def count(self) -> int:
        return len(self.places)

    def after(self, place: int | None, limit: int) -> list[int]:
        """Places behind the one given, or from the first on."""
        start = 0 if place is None else self._index(place, "right")
        found: list[int] = self.places[start : start + limit].tolist()
        return found

    def before(self, place: int, limit: int) -> list[int]:
        """The places just before the one given, in the same order."""
        end = self._index(place, "left")
        found: list[int] = self.places[max(end - limit, 0) : end].tolist()
        return found

    def index(self, place: int) -> int:
        """How many come before a place."""
        return self._index(place, "left")

    def _index(self, place: int, side: Literal["left", "right"]) -> int:
        return int(np.searchsorted(self.ranks[self.places], self.ranks[place], side))


def gallery(decided: Decided, wanted: Wanted) -> Gallery:
    """The images that match. Raises `Invalid` for what the kind of view does not have."""
    answers = decided.answers
    chosen = answers.images.in_split(wanted.split) & _shown(decided, wanted)
    if wanted.true is not None or wanted.said is not None:
        chosen &= _cell(decided, wanted)
    if wanted.sort == BY_IMAGE:
        if wanted.from_score is not None:
            raise Invalid("a score to begin at needs a sort by score", field="from_score")
        return Gallery(np.flatnonzero(chosen), np.arange(len(chosen)))
    scores = answers.score_of(wanted.concept)
    order = np.argsort(-scores if wanted.sort == HIGHEST else scores, kind="stable")
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order))
    if wanted.from_score is not None:
        limit = np.float32(wanted.from_score)
        chosen &= scores <= limit if wanted.sort == HIGHEST else scores >= limit
    return Gallery(order[chosen[order]], ranks)


def _shown(decided: Decided, wanted: Wanted) -> Bools:
    concept = wanted.concept
    match wanted.show:
        case "all":
            if concept is None:
                return np.ones(len(decided.answers.images.ids), np.bool_)
            return decided.speaks_of(concept)
        case "false_positives":
            return decided.false_positives(concept) > 0
        case "false_negatives":
            return decided.false_negatives(concept) > 0
        case _:
            return decided.false_positives(concept) + decided.false_negatives(concept) > 0


def _cell(decided: Decided, wanted: Wanted) -> Bools:
    if not isinstance(decided, DecidedLabels) or not decided.answers.single:
        raise Invalid("only a classification has a confusion matrix", field="true")
    chosen = np.ones(len(decided.predicted), np.bool_)
    if wanted.true is not None:
        chosen &= decided.answers.truth[:, wanted.true]
    if wanted.said is not None:
        nothing = wanted.said == len(decided.answers.concepts)
        said = decided.predicted
        chosen &= ~said.any(axis=1) if nothing else said[:, wanted.said]
    return chosen


class Judge:
    """Tells of images one by one, with all that is known of them."""

    def __init__(self, decided: Decided, thresholds: list[float], concept: int | None) -> None:
        self._decided = decided
        self._thresholds = thresholds
        self._scores = decided.answers.score_of(concept)
        self._wrong = decided.false_positives(None)
        self._missed = decided.false_negatives(None)

    def outcomes(self) -> Counts:
        """False positives and negatives of every image, one row an image."""
        return np.stack([self._wrong, self._missed], axis=1)

    def judge(self, place: int, discarded_at_most: int | None = None) -> JudgedImage:
        images = self._decided.answers.images
        wrong, missed = int(self._wrong[place]), int(self._missed[place])
        if isinstance(self._decided, DecidedLabels):
            truth, given = self._labels(self._decided, place)
        else:
            truth, given = self._boxes(self._decided, place)
        predicted = [answer for kept, answer in given if kept]
        discarded = [answer for kept, answer in given if not kept]
        score = float(self._scores[place])
        return JudgedImage(
            image_id=images.ids[place],
            split="train" if images.train[place] else "validation",
            outcome=self._outcome(wrong, missed),
            false_positives=wrong,
            false_negatives=missed,
            score=plain(self._scores[place]) if score >= 0 else None,
            truth=truth,
            predicted=predicted,
            discarded=discarded[:discarded_at_most],
        )

    def _outcome(self, wrong: int, missed: int) -> str:
        if not wrong and not missed:
            return CORRECT
        if isinstance(self._decided, DecidedLabels) and self._decided.answers.single:
            return MISCLASSIFIED if wrong else UNSURE
        if wrong and missed:
            return BOTH
        return FALSE_POSITIVES if wrong else FALSE_NEGATIVES

    def _labels(
        self, decided: DecidedLabels, place: int
    ) -> tuple[list[TrueAnswer], list[tuple[bool, GivenAnswer]]]:
        answers = decided.answers
        true, said = answers.truth[place], decided.predicted[place]
        truth = [
            TrueAnswer(answers.concepts[c], bool(said[c])) for c in np.flatnonzero(true).tolist()
        ]
        order = np.argsort(-answers.scores[place], kind="stable").tolist()
        given = [
            (
                bool(said[c]),
                GivenAnswer(
                    answers.concepts[c],
                    plain(answers.scores[place, c]),
                    self._thresholds[c],
                    bool(true[c]),
                ),
            )
            for c in order
        ]
        return truth, given

    def _boxes(
        self, decided: DecidedBoxes, place: int
    ) -> tuple[list[TrueAnswer], list[tuple[bool, GivenAnswer]]]:
        answers = decided.answers
        truth = [
            TrueAnswer(
                answers.concepts[answers.truth.concept[b]],
                bool(decided.found[b]),
                _box(answers.truth, b),
            )
            for b in answers.truth.of(place)
        ]
        of = answers.predicted.of(place)
        given = [
            (
                bool(decided.kept[b]),
                GivenAnswer(
                    answers.concepts[answers.predicted.concept[b]],
                    plain(answers.scores[b]),
                    self._thresholds[answers.predicted.concept[b]],
                    bool(answers.matched[b] >= 0),
                    _box(answers.predicted, b),
                ),
            )
            for b in sorted(of, key=lambda b: -answers.scores[b])
        ]
        return truth, given


def _box(table: BoxTable, number: int) -> Box:
    x, y, width, height = (plain(side) for side in table.sides[number])
    return Box(x, y, width, height)
