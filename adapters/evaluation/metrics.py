"""Metrics of each concept, computed by scikit-learn; COCO's are in `coco`.

Labels: each pair of image and concept is a sample. Boxes: a predicted box with a match is a true
positive, one without a match a false positive, and a true box without a match a false negative.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapters.evaluation.prediction_arrays import (
    Bools,
    Decided,
    DecidedBoxes,
    DecidedLabels,
    Floats,
    Labels,
    PredictionArrays,
    plain,
)

BINS = 10
"""The number of bins of a reliability diagram."""

POINTS = 300
"""The most points of a curve."""


class ConceptMetrics(msgspec.Struct, frozen=True):
    """A concept's metrics at its threshold; None where undefined, such as 0 of 0.

    `support` counts the images that hold the concept, or its true boxes in detection.
    """

    precision: float | None
    recall: float | None
    f1: float | None
    support: int


class Curve(msgspec.Struct, frozen=True):
    """A concept's precision and recall at each threshold, in ascending order of threshold."""

    precision: list[float]
    recall: list[float]
    thresholds: list[float]


class ConceptFacts(msgspec.Struct, frozen=True):
    """A concept's metrics that do not depend on the thresholds in force.

    `average_precision` is scikit-learn's for labels, one concept against the rest, and COCO's at
    IoU 0.50 for boxes. `average_precision_coco` is COCO's over IoU 0.50 to 0.95. `best_threshold`
    has the highest F1 under the prediction rule, `best_f1`.
    """

    average_precision: float | None
    average_precision_coco: float | None
    best_threshold: float | None
    best_f1: float | None


def concept_metrics(decided: Decided, within: Bools) -> list[ConceptMetrics]:
    """The metrics of each concept, in order, on the images of `within`."""
    from sklearn.metrics import precision_recall_fscore_support

    count = len(decided.predictions.concepts)
    true: NDArray[Any]
    predicted: NDArray[Any]
    if isinstance(decided, DecidedLabels):
        true, predicted = decided.predictions.truth[within], decided.predicted[within]
        labels = None
        if count == 1:
            # scikit-learn reads a single column as classes 0 and 1.
            true, predicted, labels = true[:, 0], predicted[:, 0], [1]
    else:
        true, predicted = _boxes_as_samples(decided, within)
        labels = list(range(count))
    if not len(true):
        return [ConceptMetrics(None, None, None, 0)] * count
    with _undefined_allowed():
        precision, recall, f1, support = precision_recall_fscore_support(
            true, predicted, labels=labels, average=None, zero_division=np.nan
        )
    return [
        ConceptMetrics(_number(precision[c]), _number(recall[c]), _number(f1[c]), int(support[c]))
        for c in range(count)
    ]


def accuracy(decided: DecidedLabels, within: Bools) -> float | None:
    """The share of images for which exactly the true concepts are predicted."""
    from sklearn.metrics import accuracy_score

    if not within.any():
        return None
    return float(accuracy_score(decided.predictions.truth[within], decided.predicted[within]))


def overall(decided: Decided, within: Bools) -> float | None:
    """The share of images without an error; of a detection, F1 over the boxes of all concepts."""
    from sklearn.metrics import f1_score

    if isinstance(decided, DecidedLabels):
        return accuracy(decided, within)
    true, predicted = _boxes_as_samples(decided, within)
    if not len(true):
        return None
    labels = list(range(len(decided.predictions.concepts)))
    return float(f1_score(true, predicted, labels=labels, average="micro", zero_division=0))


class CalibrationBin(msgspec.Struct, frozen=True):
    """Predictions of about one score: their mean score, the share that is right, their number."""

    score: float
    right: float
    predictions: int


def reliability(predictions: PredictionArrays, within: Bools) -> list[CalibrationBin]:
    """A reliability diagram (DeGroot and Fienberg 1983): bins of equal width without empty ones.

    A prediction is an image's highest score (classification), each score of an image (tagging) or
    each predicted box, which is right if it matches a true one.
    """
    from sklearn.calibration import calibration_curve

    if not isinstance(predictions, Labels):
        boxes = within[predictions.predicted.image]
        right, scores = predictions.matched[boxes] >= 0, predictions.scores[boxes]
    elif predictions.single:
        scores = predictions.scores[within].max(axis=1, initial=0)
        top = predictions.scores[within].argmax(axis=1)
        right = predictions.truth[within][np.arange(len(top)), top]
    else:
        right, scores = predictions.truth[within].ravel(), predictions.scores[within].ravel()
    if not len(scores):
        return []
    share, score = calibration_curve(right, scores, n_bins=BINS, strategy="uniform", pos_label=True)
    # scikit-learn's own bins, of which it does not return how many are in each.
    edges = np.linspace(0.0, 1.0, BINS + 1)
    counts = np.bincount(np.searchsorted(edges[1:-1], scores), minlength=BINS)
    rows = zip(score.tolist(), share.tolist(), counts[counts > 0].tolist(), strict=True)
    return [CalibrationBin(*row) for row in rows]


def confusion(decided: DecidedLabels, within: Bools) -> list[list[int]]:
    """The confusion matrix of a classification: rows are true concepts, columns predicted ones.

    The last column counts the images for which nothing is predicted.
    """
    from sklearn.metrics import confusion_matrix

    count = len(decided.predictions.concepts)
    true = decided.predictions.truth[within].argmax(axis=1)
    chosen = decided.predicted[within]
    predicted = np.where(chosen.any(axis=1), chosen.argmax(axis=1), count)
    if not len(true):
        return [[0] * (count + 1) for _ in range(count)]
    matrix = confusion_matrix(true, predicted, labels=range(count + 1))
    rows: list[list[int]] = matrix[:count].tolist()
    return rows


def curve(predictions: PredictionArrays, concept: int, within: Bools) -> Curve | None:
    """The precision-recall curve of a concept; None if the concept is never true.

    For labels it is the curve of the concept against the rest, by its score alone. For boxes,
    scikit-learn's recall counts only the true boxes with a match, so it is scaled to all of them.
    """
    points = _curve(predictions, concept, within, ruled=False)
    if points is None:
        return None
    precision, recall, thresholds = points
    # scikit-learn adds a point without a threshold: precision 1 at recall 0, above all scores.
    kept = np.unique(np.linspace(0, len(thresholds) - 1, POINTS).round().astype(int))
    return Curve(
        [*precision[kept].tolist(), float(precision[-1])],
        [*recall[kept].tolist(), float(recall[-1])],
        [plain(threshold) for threshold in thresholds[kept]],
    )


def facts(predictions: PredictionArrays, concept: int, within: Bools) -> ConceptFacts:
    """A concept's metrics that do not depend on thresholds, without COCO's."""
    from sklearn.metrics import average_precision_score

    average = None
    if isinstance(predictions, Labels):
        true = predictions.truth[within, concept]
        if true.any():
            average = float(average_precision_score(true, predictions.scores[within, concept]))
    best = _best(_curve(predictions, concept, within, ruled=True))
    return ConceptFacts(average, None, *best)


def _best(points: tuple[Floats, Floats, Floats] | None) -> tuple[float | None, float | None]:
    """The threshold with the highest F1, and that F1."""
    if points is None:
        return None, None
    precision, recall, thresholds = points
    usable = thresholds >= 0
    precision, recall = precision[:-1][usable], recall[:-1][usable]
    total = precision + recall
    f1 = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)
    if not len(f1) or not f1.max():
        return None, None
    best = int(f1.argmax())
    return plain(thresholds[usable][best]), float(f1[best])


def _curve(
    predictions: PredictionArrays, concept: int, within: Bools, *, ruled: bool
) -> tuple[Floats, Floats, Floats] | None:
    """Precision, recall and thresholds; `ruled` applies the arg max rule of a classification."""
    from sklearn.metrics import precision_recall_curve

    if isinstance(predictions, Labels):
        true, scores = predictions.truth[within, concept], predictions.scores[within, concept]
        if not true.any():
            return None
        if ruled and predictions.single:
            is_top = predictions.scores[within].argmax(axis=1) == concept
            scores = np.where(is_top, scores, np.float32(-1))
        precision, recall, thresholds = precision_recall_curve(true, scores)
        return precision, recall, thresholds
    boxes = (predictions.predicted.concept == concept) & within[predictions.predicted.image]
    truth = predictions.truth
    true_boxes = int(((truth.concept == concept) & within[truth.image]).sum())
    hits = predictions.matched[boxes] >= 0
    if not true_boxes or not hits.any():
        return None
    precision, recall, thresholds = precision_recall_curve(hits, predictions.scores[boxes])
    return precision, recall * (hits.sum() / true_boxes), thresholds


def _boxes_as_samples(decided: DecidedBoxes, within: Bools) -> tuple[NDArray[Any], NDArray[Any]]:
    """True and predicted concept of each kept or missed box; the class after the last is none."""
    predictions, none = decided.predictions, len(decided.predictions.concepts)
    kept = decided.kept & within[predictions.predicted.image]
    predicted = predictions.predicted.concept[kept]
    true = np.where(predictions.matched[kept] >= 0, predicted, none)
    missed = predictions.truth.concept[~decided.detected & within[predictions.truth.image]]
    nothing = np.full(len(missed), none)
    return np.concatenate([true, missed]), np.concatenate([predicted, nothing])


@contextmanager
def _undefined_allowed() -> Iterator[None]:
    """Suppress warnings about precision or recall of 0 of 0, which is reported as None."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
        yield


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
