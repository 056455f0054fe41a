"""The metrics of a split, computed from scores and truth as the worker's torchmetrics do."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapters.evaluation.scores import Scored
from domain.dataset.image import TRAIN
from domain.library.view import CLASSIFICATION
from domain.training.messages import SplitFigures

BINS = 10
"""The number of bins of the calibration error."""

_LEAST = float(np.finfo(np.float32).eps)
"""A loss is computed from probabilities that are at least this, as scikit-learn's log_loss does."""

_SATURATED = 1e-6
_DECISION = 0.5


def label_metrics(kind: str, scored: Scored, split: str) -> tuple[SplitFigures, bool]:
    """The metrics of a classification or tagging, and whether the loss is exact: a score near 0 or
    1 does not hold the logit that it is made of."""
    within = scored.train if split == TRAIN else ~scored.train
    truth, scores = scored.truth[within], scored.scores[within]
    if not len(truth):
        return SplitFigures(images=0), True
    if kind == CLASSIFICATION:
        return _classification(truth, scores)
    return _tagging(truth, scores)


def _classification(
    truth: NDArray[np.bool_], scores: NDArray[np.float64]
) -> tuple[SplitFigures, bool]:
    true, top = truth.argmax(axis=1), scores.argmax(axis=1)
    own = scores[np.arange(len(scores)), true]
    metrics = SplitFigures(
        images=len(scores),
        loss=_log_loss(own),
        accuracy=float((true == top).mean()),
        calibration_error=_calibration_error(scores.max(axis=1), true == top),
    )
    return metrics, bool((own > _SATURATED).all())


def _tagging(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> tuple[SplitFigures, bool]:
    from sklearn.metrics import average_precision_score

    own = np.where(truth, scores, 1 - scores)
    present = np.flatnonzero(truth.any(axis=0))
    precisions = [average_precision_score(truth[:, c], scores[:, c]) for c in present.tolist()]
    metrics = SplitFigures(
        images=len(scores),
        loss=_log_loss(own),
        accuracy=float(((scores > _DECISION) == truth).mean()),
        mean_average_precision=float(np.mean(precisions)) if precisions else None,
        calibration_error=_calibration_error(scores.ravel(), truth.ravel()),
    )
    return metrics, bool((own > _SATURATED).all())


def _log_loss(probabilities: NDArray[np.float64]) -> float:
    return float(-np.log(np.clip(probabilities, _LEAST, 1)).mean())


def _calibration_error(confidences: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """The expected calibration error (Naeini et al. 2015), with torchmetrics' bins."""
    edges = np.linspace(0, 1, BINS + 1, dtype=np.float32)
    place = np.searchsorted(edges, confidences.astype(np.float32), side="right") - 1
    size = np.bincount(place, minlength=BINS + 1)
    score = np.bincount(place, weights=confidences, minlength=BINS + 1)
    hits = np.bincount(place, weights=right, minlength=BINS + 1)
    return float(np.abs(hits - score).sum() / size.sum())


def box_metrics(path: Path, split: str) -> SplitFigures:
    """COCO's mean average precision of a joined file, over the concepts that have true boxes."""
    from adapters.evaluation.coco import box_precision
    from adapters.evaluation.loading import load
    from adapters.evaluation.prediction_arrays import Boxes

    predictions: Any = load(path)
    assert isinstance(predictions, Boxes)
    within = predictions.images.in_split(split)
    found = [box_precision(predictions, c, within) for c in range(len(predictions.concepts))]
    present = [precision for precision in found if precision is not None]
    average, at_50, at_75 = np.mean(present, axis=0).tolist() if present else (0.0, 0.0, 0.0)
    return SplitFigures(
        images=int(within.sum()), mean_average_precision=average, map_50=at_50, map_75=at_75
    )
