"""ObjectLab's scores of boxes (Tkachenko et al. 2023, arXiv 2309.00832), by cleanlab."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from adapters.evaluation.overlaps import intersection_over_union
from adapters.evaluation.prediction_arrays import Boxes
from domain.dataset.annotation import SAME_PLACE, Box

LEAST_SCORE = 0.4
"""Of a predicted box that counts. cleanlab's own 0.95 is more than a short training reaches."""

_SIDE = 100.0
"""cleanlab measures distances in pixels: those of an image of this size."""


class ScoredBox(NamedTuple):
    """A true box by its number in its image, or a predicted one where a label is missing."""

    score: float
    image_id: str
    number: int | None
    box: Box


def scored_boxes(predictions: Boxes) -> list[ScoredBox]:
    """The boxes of validation images by rising score: the least of those for location and swap.

    cleanlab is given the surest box of each place: detectors predict several concepts in one.
    """
    from cleanlab.object_detection.rank import (
        compute_badloc_box_scores,
        compute_overlooked_box_scores,
        compute_swap_box_scores,
    )

    places = np.flatnonzero(~predictions.images.train).tolist()
    labels, boxes, counted = [], [], []
    for place in places:
        true = predictions.truth.of(place)
        counts = _surest(predictions, place)
        labels.append(
            {
                "bboxes": _corners(predictions.truth.sides[true.start : true.stop]),
                "labels": predictions.truth.concept[true.start : true.stop],
            }
        )
        boxes.append(_by_concept(predictions, counts))
        # cleanlab has an image's predicted boxes by concept, and keeps their order within each.
        counted.append(sorted(counts, key=lambda box: int(predictions.predicted.concept[box])))
    given: dict[str, Any] = {"labels": labels, "predictions": boxes}
    location = compute_badloc_box_scores(**given, low_probability_threshold=LEAST_SCORE)
    swap = compute_swap_box_scores(
        **given, high_probability_threshold=LEAST_SCORE, overlapping_label_check=False
    )
    overlooked = compute_overlooked_box_scores(**given, high_probability_threshold=LEAST_SCORE)
    scored = []
    for n, place in enumerate(places):
        image_id = predictions.images.ids[place]
        for number, box in enumerate(predictions.truth.of(place)):
            score = min(location[n][number], swap[n][number])
            sides = Box(*predictions.truth.sides[box].tolist())
            scored.append(ScoredBox(float(score), image_id, number, sides))
        for box, score in zip(counted[n], overlooked[n], strict=True):
            if not np.isnan(score):
                sides = Box(*predictions.predicted.sides[box].tolist())
                scored.append(ScoredBox(float(score), image_id, None, sides))
    return sorted(scored, key=lambda each: each.score)


def _surest(predictions: Boxes, place: int) -> list[int]:
    kept: list[int] = []
    sides = predictions.predicted.sides.astype(np.float64)
    for box in predictions.predicted.of(place):
        if predictions.scores[box] < LEAST_SCORE:
            continue
        overlaps = intersection_over_union(sides[kept].reshape(-1, 4), sides[box][None])
        if not (overlaps >= SAME_PLACE).any():
            kept.append(box)
    return kept


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
