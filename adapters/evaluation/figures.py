"""The known metrics of each concept, all of them by scikit-learn; COCO's are in `coco`.

Labels: an image's answer for a concept is a sample. Boxes: a predicted box that found a true one is
a true positive, one that found none a false positive, a true box not found a false negative.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapters.evaluation.answers import (
    Answers,
    Bools,
    Decided,
    DecidedBoxes,
    DecidedLabels,
    Floats,
    Labels,
    plain,
)

POINTS = 300
"""Points of a curve that are shown at most."""


class ConceptFigures(msgspec.Struct, frozen=True):
    """What a concept comes to at its threshold; None is what is undefined, as 0 of 0.

    `support` counts true answers: images, or boxes of detection.
    """

    precision: float | None
    recall: float | None
    f1: float | None
    support: int


class Curve(msgspec.Struct, frozen=True):
    """A concept's precision and recall at each threshold, by rising threshold."""

    precision: list[float]
    recall: list[float]
    thresholds: list[float]


class ConceptFacts(msgspec.Struct, frozen=True):
    """What does not depend on the thresholds in force.

    Of labels `average_precision` is scikit-learn's, one concept against the rest, of boxes COCO's
    at IoU 0.50; `average_precision_coco` is COCO's over IoU 0.50 to 0.95. `best_threshold` is that
    of the highest F1, `best_f1`, under the prediction rule.
    """

    average_precision: float | None
    average_precision_coco: float | None
    best_threshold: float | None
    best_f1: float | None


def concept_figures(decided: Decided, within: Bools) -> list[ConceptFigures]:
    """The figures of each concept, in order, on the images of `within`."""
    from sklearn.metrics import precision_recall_fscore_support

    count = len(decided.answers.concepts)
    true: NDArray[Any]
    said: NDArray[Any]
    if isinstance(decided, DecidedLabels):
        true, said = decided.answers.truth[within], decided.predicted[within]
        labels = None
        if count == 1:
            # A single column would be taken for classes 0 and 1.
            true, said, labels = true[:, 0], said[:, 0], [1]
    else:
        true, said = _boxes_as_samples(decided, within)
        labels = list(range(count))
    if not len(true):
        return [ConceptFigures(None, None, None, 0)] * count
    with _undefined_is_known():
        found = precision_recall_fscore_support(
            true, said, labels=labels, average=None, zero_division=np.nan
        )
    precision, recall, f1, support = found
    return [
        ConceptFigures(_number(precision[c]), _number(recall[c]), _number(f1[c]), int(support[c]))
        for c in range(count)
    ]


def accuracy(decided: DecidedLabels, within: Bools) -> float | None:
    """The share of images whose concepts are all predicted, and no others."""
    from sklearn.metrics import accuracy_score

    if not within.any():
        return None
    return float(accuracy_score(decided.answers.truth[within], decided.predicted[within]))


def confusion(decided: DecidedLabels, within: Bools) -> list[list[int]]:
    """Images of a classification: a row for each true concept, a column for each predicted one.

    The last column is of the images for which nothing is predicted.
    """
    from sklearn.metrics import confusion_matrix

    count = len(decided.answers.concepts)
    true = decided.answers.truth[within].argmax(axis=1)
    predicted = decided.predicted[within]
    said = np.where(predicted.any(axis=1), predicted.argmax(axis=1), count)
    if not len(true):
        return [[0] * (count + 1) for _ in range(count)]
    matrix = confusion_matrix(true, said, labels=range(count + 1))
    rows: list[list[int]] = matrix[:count].tolist()
    return rows


def curve(answers: Answers, concept: int, within: Bools) -> Curve | None:
    """The precision-recall curve of a concept; None where no true answer is.

    Of labels it is that of the concept against the rest, by its score alone. Of boxes recall as
    scikit-learn gives it is of the true boxes that some box found; it is scaled to all of them.
    """
    points = _curve(answers, concept, within, ruled=False)
    if points is None:
        return None
    precision, recall, thresholds = points
    # One point more than thresholds: precision 1 at recall 0, above all scores.
    kept = np.unique(np.linspace(0, len(thresholds) - 1, POINTS).round().astype(int))
    return Curve(
        [*precision[kept].tolist(), float(precision[-1])],
        [*recall[kept].tolist(), float(recall[-1])],
        [plain(threshold) for threshold in thresholds[kept]],
    )


def facts(answers: Answers, concept: int, within: Bools) -> ConceptFacts:
    """What does not depend on thresholds, COCO's figures aside."""
    from sklearn.metrics import average_precision_score

    average = None
    if isinstance(answers, Labels):
        true = answers.truth[within, concept]
        if true.any():
            average = float(average_precision_score(true, answers.scores[within, concept]))
    best = _best(_curve(answers, concept, within, ruled=True))
    return ConceptFacts(average, None, *best)


def _best(points: tuple[Floats, Floats, Floats] | None) -> tuple[float | None, float | None]:
    """The threshold of the highest harmonic mean of precision and recall, and that mean."""
    if points is None:
        return None, None
    precision, recall, thresholds = points
    usable = thresholds >= 0
    precision, recall = precision[:-1][usable], recall[:-1][usable]
    total = precision + recall
    f1 = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)
    if not len(f1) or not f1.max():
        return None, None
    at = int(f1.argmax())
    return plain(thresholds[usable][at]), float(f1[at])


def _curve(
    answers: Answers, concept: int, within: Bools, *, ruled: bool
) -> tuple[Floats, Floats, Floats] | None:
    """Precision, recall and thresholds; `ruled` ones obey the arg max of a classification."""
    from sklearn.metrics import precision_recall_curve

    if isinstance(answers, Labels):
        true, scores = answers.truth[within, concept], answers.scores[within, concept]
        if not true.any():
            return None
        if ruled and answers.single:
            is_top = answers.scores[within].argmax(axis=1) == concept
            scores = np.where(is_top, scores, np.float32(-1))
        precision, recall, thresholds = precision_recall_curve(true, scores)
        return precision, recall, thresholds
    of = (answers.predicted.concept == concept) & within[answers.predicted.image]
    true_boxes = int(((answers.truth.concept == concept) & within[answers.truth.image]).sum())
    hits = answers.matched[of] >= 0
    if not true_boxes or not hits.any():
        return None
    precision, recall, thresholds = precision_recall_curve(hits, answers.scores[of])
    return precision, recall * (hits.sum() / true_boxes), thresholds


def _boxes_as_samples(decided: DecidedBoxes, within: Bools) -> tuple[NDArray[Any], NDArray[Any]]:
    """True and predicted concept of each box kept or missed; the last class is none of them."""
    answers, none = decided.answers, len(decided.answers.concepts)
    kept = decided.kept & within[answers.predicted.image]
    said = answers.predicted.concept[kept]
    hit = np.where(answers.matched[kept] >= 0, said, none)
    missed = answers.truth.concept[~decided.found & within[answers.truth.image]]
    nothing = np.full(len(missed), none)
    return np.concatenate([hit, missed]), np.concatenate([said, nothing])


@contextmanager
def _undefined_is_known() -> Iterator[None]:
    """No warnings of precision or recall that are 0 of 0: they are told as None."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
        yield


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
