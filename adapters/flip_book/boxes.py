"""The outcome of each true and each predicted box of an image, after TIDE.

Bolya et al. 2020, "TIDE: A General Toolbox for Identifying Object Detection Errors", arXiv
2008.08115. Boxes are left, top, width and height in any unit: IoU does not depend on it.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adapters.evaluation.overlaps import intersection_over_union

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

FOUND, SWAPPED, SHIFTED, MISSED = "found", "swapped", "shifted", "missed"
DUPLICATE, SPURIOUS, DISCARDED = "duplicate", "spurious", "discarded"
OUTCOMES = (FOUND, SWAPPED, SHIFTED, MISSED, DUPLICATE, SPURIOUS, DISCARDED)

LEAST_SCORE = 0.5
"""Of a box that counts as predicted."""

_FOREGROUND, _BACKGROUND = 0.5, 0.1
_LEAST_PROBABILITY = 1e-6


class TrueBoxes(NamedTuple):
    """An array for each measurement of true boxes; `predicted` is -1 where no concept is."""

    outcome: list[str]
    predicted: Numbers
    probability: Floats
    margin: Floats
    loss: Floats


class PredictedBoxes(NamedTuple):
    """`matched` is the index of a true box, or -1."""

    outcome: list[str]
    matched: Numbers


def judge_boxes(
    true_concepts: Numbers,
    true_boxes: Floats,
    concepts: Numbers,
    boxes: Floats,
    scores: Floats,
) -> tuple[TrueBoxes, PredictedBoxes]:
    """The outcomes of an image's boxes; the predicted ones come by falling score."""
    overlaps = intersection_over_union(boxes, true_boxes)
    same = concepts[:, None] == true_concepts[None, :]
    counts = scores >= LEAST_SCORE
    outcomes = np.full(len(boxes), SPURIOUS, object)
    outcomes[~counts] = DISCARDED
    matched = np.full(len(boxes), -1)
    true_outcomes = np.full(len(true_boxes), MISSED, object)
    hits = np.where(same & (overlaps >= _FOREGROUND), overlaps, 0.0)
    for box in np.flatnonzero(counts & hits.any(axis=1)).tolist():
        free = np.where(true_outcomes == FOUND, 0.0, hits[box])
        matched[box] = free.argmax() if free.any() else hits[box].argmax()
        outcomes[box] = FOUND if free.any() else DUPLICATE
        true_outcomes[matched[box]] = FOUND
    for name, errors in (
        (SWAPPED, ~same & (overlaps >= _FOREGROUND)),
        (SHIFTED, same & (overlaps >= _BACKGROUND)),
    ):
        wrong = errors & (outcomes == SPURIOUS)[:, None] & (true_outcomes == MISSED)[None, :]
        true_outcomes[wrong.any(axis=0)] = name
        for box in np.flatnonzero(wrong.any(axis=1)).tolist():
            outcomes[box], matched[box] = name, np.where(wrong[box], overlaps[box], 0.0).argmax()
    quality = scores[:, None] * overlaps
    own, other = _largest(np.where(same, quality, 0.0)), _largest(np.where(same, 0.0, quality))
    loss = -np.log(np.maximum(own, _LEAST_PROBABILITY))
    near = np.where(counts[:, None] & (overlaps >= _FOREGROUND), quality, 0.0)
    predicted = np.full(len(true_boxes), -1)
    if len(boxes):
        predicted = np.where(near.any(axis=0), concepts[near.argmax(axis=0)], -1)
    return (
        TrueBoxes(true_outcomes.tolist(), predicted, own, own - other, loss),
        PredictedBoxes(outcomes.tolist(), matched),
    )


def image_loss(truth: TrueBoxes, boxes: PredictedBoxes, scores: Floats) -> float:
    """The mean of the true boxes' losses and of those of spurious boxes, -ln(1 - score)."""
    spurious = np.array([outcome == SPURIOUS for outcome in boxes.outcome], np.bool_)
    against = -np.log(np.maximum(1 - scores[spurious], _LEAST_PROBABILITY))
    losses = np.concatenate([truth.loss, against])
    return float(losses.mean()) if len(losses) else 0.0


def _largest(quality: Floats) -> Floats:
    largest: Floats = quality.max(axis=0, initial=0.0)
    return largest
