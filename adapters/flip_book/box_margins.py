"""How sure a detector is of each true box, and of boxes that nobody annotated.

The margin of a true box is the analogue of AUM's: what speaks for it less what speaks against it.
For it is the largest score x IoU of the predicted boxes that find it, with an IoU of 0.5 or more.
Against it is the largest score x IoU of the boxes of another concept in its place, or the largest
score of the boxes of its own concept beside it, with a smaller IoU. A short training has low scores
everywhere: what is predicted instead says more than how little is.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adapters.evaluation.overlaps import intersection_over_union
from adapters.evaluation.prediction_arrays import Boxes
from adapters.flip_book.arrays import Bools, EpochArrays, Items
from domain.dataset.annotation import SAME_PLACE

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

BESIDE = 0.1
"""The least IoU of a box with another one that is about the same thing."""

LEAST_SCORE = 0.3
"""Of a predicted box that shows that one is missing. With 0.2, the benchmark's list of suspects has
many more that are right; with 0.4 it lacks some."""

_PRIOR_BOXES = 5
"""How many boxes of the mean margin each concept is given beside its own: one that has but few is
not measured by these alone."""


class BoxArrays(NamedTuple):
    """Boxes in the order of their images; those of image n are from `starts[n]` to
    `starts[n + 1]`. `sides` are left, top, width and height. True boxes have a score of 1."""

    image: Numbers
    concept: Numbers
    sides: Floats
    score: Floats
    starts: Numbers

    def of(self, image: int) -> range:
        return range(int(self.starts[image]), int(self.starts[image + 1]))


class MissingBox(NamedTuple):
    """A predicted box where none is annotated, by its index after the last epoch.

    `confidence` is its mean score over the epochs, in `epochs` of which it was predicted.
    """

    place: int
    confidence: float
    epochs: int


class Doubts(NamedTuple):
    """The mean margin of each true box over the epochs, from -1 to 1, and the boxes that are
    missing.

    `concept_means` are the mean margins of each concept's boxes: those of a concept that is harder
    are lower, which is no reason to doubt them.
    """

    margins: Floats
    missing: list[MissingBox]
    concept_means: Floats


def true_boxes(items: Items) -> BoxArrays:
    """The true boxes of a flip book, in the order of its items."""
    assert items.sides is not None
    starts = np.searchsorted(items.image, np.arange(len(items.image_ids) + 1))
    sides = items.sides.astype(np.float64)
    concept, image = items.concept.astype(np.int64), items.image.astype(np.int64)
    return BoxArrays(image, concept, sides, np.ones(len(items)), starts)


def predicted_after(epoch: EpochArrays) -> BoxArrays:
    """The boxes predicted after an epoch."""
    counts = epoch.boxes.value_lengths().to_numpy(zero_copy_only=False)
    flat = epoch.boxes.flatten()
    fields = {
        name: flat.field(name).to_numpy(zero_copy_only=False)
        for name in ("concept", "score", "x", "y", "width", "height")
    }
    sides = np.stack([fields[side] for side in ("x", "y", "width", "height")], axis=1)
    return BoxArrays(
        np.repeat(np.arange(len(counts)), counts),
        fields["concept"].astype(np.int64),
        sides.astype(np.float64),
        fields["score"].astype(np.float64),
        np.concatenate([[0], np.cumsum(counts)]),
    )


def boxes_of(predictions: Boxes) -> tuple[BoxArrays, BoxArrays]:
    """The true and the predicted boxes of predictions, in the order of their tables."""
    true, predicted = (
        BoxArrays(
            table.image,
            table.concept.astype(np.int64),
            table.sides.astype(np.float64),
            scores.astype(np.float64),
            table.starts,
        )
        for table, scores in (
            (predictions.truth, np.ones(len(predictions.truth.concept))),
            (predictions.predicted, predictions.scores),
        )
    )
    return true, predicted


def find_doubts(
    true: BoxArrays, epochs: Sequence[BoxArrays], concepts: int, images: Bools
) -> Doubts:
    """What speaks against the true boxes of some images, over epochs in order."""
    margins: Floats = np.mean([_margins(true, predicted) for predicted in epochs], axis=0)
    own = images[true.image]
    mean = margins[own].mean() if own.any() else 0.0
    counts = np.bincount(true.concept[own], minlength=concepts)
    sums = np.bincount(true.concept[own], margins[own], minlength=concepts)
    concept_means = (sums + _PRIOR_BOXES * mean) / (counts + _PRIOR_BOXES)
    return Doubts(margins, _missing(true, epochs, images), concept_means)


def _margins(true: BoxArrays, predicted: BoxArrays) -> Floats:
    pairs = _pairs(true, predicted)
    score = predicted.score[pairs.predicted]
    same = predicted.concept[pairs.predicted] == true.concept[pairs.true]
    own, against = np.zeros(len(true.image)), np.zeros(len(true.image))
    there = pairs.overlap >= SAME_PLACE
    np.maximum.at(own, pairs.true, np.where(same & there, score * pairs.overlap, 0))
    np.maximum.at(against, pairs.true, np.where(~same & there, score * pairs.overlap, 0))
    # A box beside two true ones is about the nearer one.
    nearest = _nearest(pairs, predicted)[pairs.predicted]
    shifted = same & ~there & (pairs.overlap >= BESIDE) & (pairs.overlap == nearest)
    np.maximum.at(against, pairs.true, np.where(shifted, score, 0))
    margins: Floats = own - against
    return margins


def _missing(true: BoxArrays, epochs: Sequence[BoxArrays], images: Bools) -> list[MissingBox]:
    last = epochs[-1]
    nearest = _nearest(_pairs(true, last), last)
    free = (nearest < BESIDE) & (last.score >= LEAST_SCORE) & images[last.image]
    found = []
    for place in np.flatnonzero(free).tolist():
        if not _is_hidden(last, place):
            scores = [_score_there(epoch, last, place) for epoch in epochs]
            seen = sum(score > 0 for score in scores)
            found.append(MissingBox(place, float(np.mean(scores)), seen))
    return found


def _is_hidden(predicted: BoxArrays, place: int) -> bool:
    """Whether a surer box of any concept is in the same place."""
    own = predicted.of(int(predicted.image[place]))
    surer = predicted.score[own] > predicted.score[place]
    overlaps = intersection_over_union(predicted.sides[own], predicted.sides[place][None])[:, 0]
    return bool((surer & (overlaps >= SAME_PLACE)).any())


def _score_there(epoch: BoxArrays, last: BoxArrays, place: int) -> float:
    """The score in another epoch of a box of the last one; 0 where it was not predicted."""
    own = epoch.of(int(last.image[place]))
    overlaps = intersection_over_union(epoch.sides[own], last.sides[place][None])[:, 0]
    there = (epoch.concept[own] == last.concept[place]) & (overlaps >= SAME_PLACE)
    return float(epoch.score[own][there].max(initial=0))


class _Pairs(NamedTuple):
    """Each predicted box with each true box of its image."""

    predicted: Numbers
    true: Numbers
    overlap: Floats


def _pairs(true: BoxArrays, predicted: BoxArrays) -> _Pairs:
    counts = np.diff(true.starts)[predicted.image]
    boxes = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(boxes)) - np.repeat(np.cumsum(counts) - counts, counts)
    places = within + true.starts[predicted.image][boxes]
    return _Pairs(boxes, places, _overlaps(predicted.sides[boxes], true.sides[places]))


def _nearest(pairs: _Pairs, predicted: BoxArrays) -> Floats:
    """The largest IoU of each predicted box with a true one."""
    nearest = np.zeros(len(predicted.score))
    np.maximum.at(nearest, pairs.predicted, pairs.overlap)
    return nearest


def _overlaps(first: Floats, second: Floats) -> Floats:
    """The IoU of each box with the one beside it in the other array."""
    start = np.maximum(first[:, :2], second[:, :2])
    end = np.minimum(first[:, :2] + first[:, 2:], second[:, :2] + second[:, 2:])
    shared = np.maximum(end - start, 0).prod(axis=1)
    union = first[:, 2:].prod(axis=1) + second[:, 2:].prod(axis=1) - shared
    overlap: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlap
