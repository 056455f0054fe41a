"""`python -m adapters.flip_book.label_quality BLOBS_URL DIGEST`: label quality by cleanlab.

A process of its own, since cleanlab takes seconds to import. It scores the validation images of a
predictions file: their probabilities are out of sample, as confident learning requires (Northcutt
et al. 2021, arXiv 1911.00068). Boxes are scored by ObjectLab (Tkachenko et al. 2023, arXiv
2309.00832).
"""

import os
import sys
import threading
import warnings
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapters.blobs.blobs import BlobStore
from adapters.evaluation.prediction_arrays import Boxes, PredictionArrays

LEAST_SCORE = 0.5
"""Of a predicted box that may show that a label is wrong. cleanlab's 0.95 is for detectors that
are surer of themselves than a short training makes them."""

_SIDE = 100.0
"""cleanlab measures distances in pixels: those of an image of this size."""

_LEAST_QUALITY = 0.5
"""Of a box that is no issue."""

FORM = 1
"""Of the result: another form has another key."""


class LabelQuality(msgspec.Struct, frozen=True):
    """The quality of labels from 0 to 1, and whether each is an issue, of validation images.

    A label is an image's in classification, an image's for a concept in tagging, a true box in
    detection. `missing` is, for each predicted box, the quality of having no label there; None for
    a box that does not count.
    """

    scores: list[float]
    issues: list[bool]
    missing: list[float | None]


def result_key(digest: str) -> str:
    """Where the label quality of a predictions file is stored among the derived entries."""
    return f"label-quality/{FORM}/{digest}"


def label_quality(predictions: PredictionArrays) -> LabelQuality:
    """The label quality of the validation images."""
    if isinstance(predictions, Boxes):
        return _of_boxes(predictions)
    validation = ~predictions.images.train
    if not validation.any():
        return LabelQuality([], [], [])
    truth, scores = predictions.truth[validation], predictions.scores[validation]
    if predictions.single:
        return _of_classes(truth.argmax(axis=1), scores.astype(np.float64))
    return _of_tags(truth, scores.astype(np.float64))


def _of_classes(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> LabelQuality:
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    scores = get_label_quality_scores(labels, probabilities, method="self_confidence")
    if len(np.unique(labels)) < 2:
        # No two labels can have been taken for each other, and cleanlab refuses some of these.
        return LabelQuality(scores.tolist(), [False] * len(labels), [])
    issues = find_label_issues(labels, probabilities, n_jobs=1)
    return LabelQuality(scores.tolist(), issues.tolist(), [])


def _of_tags(truth: NDArray[np.bool_], probabilities: NDArray[np.float64]) -> LabelQuality:
    """One concept against the rest, as `cleanlab.multilabel_classification` has it, which refuses
    images without a tag and a single concept."""
    each = [
        _of_classes(has.astype(np.int64), np.stack([1 - probability, probability], axis=1))
        for has, probability in zip(truth.T, probabilities.T, strict=True)
    ]
    scores = np.stack([quality.scores for quality in each], axis=1)
    issues = np.stack([quality.issues for quality in each], axis=1)
    return LabelQuality(scores.ravel().tolist(), issues.ravel().tolist(), [])


def _of_boxes(predictions: Boxes) -> LabelQuality:
    from cleanlab.object_detection.rank import (
        compute_badloc_box_scores,
        compute_overlooked_box_scores,
        compute_swap_box_scores,
    )

    places = np.flatnonzero(~predictions.images.train).tolist()
    labels, boxes, counted = [], [], []
    for place in places:
        true, own = predictions.truth.of(place), predictions.predicted.of(place)
        counts = [box for box in own if predictions.scores[box] >= LEAST_SCORE]
        labels.append(
            {
                "bboxes": _corners(predictions.truth.sides[true.start : true.stop]),
                "labels": predictions.truth.concept[true.start : true.stop],
            }
        )
        boxes.append(_by_concept(predictions, counts))
        counted.append(counts)
    if not places:
        return LabelQuality([], [], [])
    given: dict[str, Any] = {"labels": labels, "predictions": boxes}
    location = compute_badloc_box_scores(**given, low_probability_threshold=LEAST_SCORE)
    swap = compute_swap_box_scores(
        **given, high_probability_threshold=LEAST_SCORE, overlapping_label_check=False
    )
    overlooked = compute_overlooked_box_scores(**given, high_probability_threshold=LEAST_SCORE)
    scores = [
        min(pair) for pairs in zip(location, swap, strict=True) for pair in zip(*pairs, strict=True)
    ]
    missing: dict[int, float] = {}
    for counts, qualities in zip(counted, overlooked, strict=True):
        # cleanlab has an image's predicted boxes by concept, and keeps their order within each.
        order = sorted(counts, key=lambda box: int(predictions.predicted.concept[box]))
        missing |= dict(zip(order, qualities.tolist(), strict=True))
    every = [box for place in places for box in predictions.predicted.of(place)]
    numbers = [missing.get(box, np.nan) for box in every]
    return LabelQuality(
        [float(score) for score in scores],
        [bool(score < _LEAST_QUALITY) for score in scores],
        [None if np.isnan(number) else float(number) for number in numbers],
    )


def _corners(sides: NDArray[Any]) -> NDArray[np.float64]:
    corners: NDArray[np.float64] = _SIDE * np.concatenate(
        [sides[:, :2], sides[:, :2] + sides[:, 2:]], axis=1, dtype=np.float64
    )
    return corners


def _by_concept(predictions: Boxes, counts: list[int]) -> Any:
    """An image's predicted boxes as cleanlab takes them: an array of rows for each concept."""
    rows = np.concatenate(
        [_corners(predictions.predicted.sides[counts]), predictions.scores[counts][:, None]], axis=1
    )
    concepts = predictions.predicted.concept[counts]
    # One more than there are: cleanlab may take three for boxes, concepts and probabilities.
    by_concept = np.empty(len(predictions.concepts) + 1, object)
    for concept in range(len(by_concept)):
        by_concept[concept] = rows[concepts == concept]
    return by_concept


def main(blobs_url: str, digest: str) -> None:
    """Compute and store the label quality. Raises what `load_blob` raises."""
    from adapters.evaluation.loading import load_blob

    warnings.simplefilter("ignore")  # of concepts with few images
    blobs = BlobStore.from_url(blobs_url)
    quality = label_quality(load_blob(blobs, digest))
    blobs.put_derived(result_key(digest), msgspec.json.encode(quality))


def _end_with_parent() -> None:
    """Exit when standard input closes: the parent has its other end and never writes."""
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    main(*sys.argv[1:])
