"""How sure a detector was, over the epochs, of each true box, and of boxes that nobody annotated.

The margin of a true box is the analogue of AUM's: what speaks for it less what speaks against it.
For it is the largest score x IoU of the boxes predicted of its concept. Against it is the largest
score x IoU of the boxes of another concept in its place, or the largest score x (1 - IoU) of the
boxes of its own concept beside it. A short training has low scores everywhere: what is predicted
instead says more than how little is.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adapters.flip_book.arrays import Book, EpochArrays, Items
from adapters.flip_book.boxes import intersection_over_union
from domain.dataset.annotation import SAME_PLACE, Box

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

BESIDE = 0.1
"""The least IoU of a box with another one that is about the same thing."""

LEAST_SCORE = 0.2
"""Of a predicted box, after the last epoch, that shows that one is missing."""


class MissingBox(NamedTuple):
    """A box predicted where no annotation is: the image's index, and its mean score over the
    epochs, in `epochs` of which it was predicted."""

    image: int
    concept: int
    box: Box
    confidence: float
    epochs: int


class _Predicted(NamedTuple):
    """All predicted boxes of an epoch; those of image n are from `starts[n]` to `starts[n + 1]`."""

    image: Numbers
    concept: Numbers
    sides: Floats
    score: Floats
    starts: Numbers

    def of(self, image: int) -> slice:
        return slice(int(self.starts[image]), int(self.starts[image + 1]))


class _Pairs(NamedTuple):
    """Each predicted box with each true box of its image."""

    predicted: Numbers
    true: Numbers
    overlap: Floats


def box_margins(book: Book) -> Floats:
    """The mean margin of each true box over the epochs, from -1 to 1."""
    margins = [_margins(epoch, _predicted(epoch)) for epoch in book.epochs]
    mean: Floats = np.mean(margins, axis=0)
    return mean


def missing_boxes(book: Book) -> list[MissingBox]:
    """The boxes of training images predicted after the last epoch where no annotation is."""
    epochs = [_predicted(epoch) for epoch in book.epochs]
    last = epochs[-1]
    pairs = _pairs(book.items, last)
    nearest = np.zeros(len(last.score))
    np.maximum.at(nearest, pairs.predicted, pairs.overlap)
    free = (nearest < BESIDE) & (last.score >= LEAST_SCORE) & book.items.train[last.image]
    found = []
    for place in np.flatnonzero(free).tolist():
        image, box = int(last.image[place]), last.sides[place]
        if _is_hidden(last, place):
            continue
        concept = int(last.concept[place])
        scores = [_score_at(epoch, image, concept, box) for epoch in epochs]
        seen = sum(score > 0 for score in scores)
        sides = Box(*box.tolist())
        found.append(MissingBox(image, concept, sides, float(np.mean(scores)), seen))
    return found


def _margins(epoch: EpochArrays, predicted: _Predicted) -> Floats:
    items = epoch.items
    pairs = _pairs(items, predicted)
    score = predicted.score[pairs.predicted]
    same = predicted.concept[pairs.predicted] == items.concept[pairs.true]
    nearest = np.zeros(len(predicted.score))
    np.maximum.at(nearest, pairs.predicted, pairs.overlap)
    own, against = np.zeros(len(items)), np.zeros(len(items))
    np.maximum.at(own, pairs.true, np.where(same, score * pairs.overlap, 0))
    swapped = ~same & (pairs.overlap >= SAME_PLACE)
    np.maximum.at(against, pairs.true, np.where(swapped, score * pairs.overlap, 0))
    # A box beside two true ones is about the nearer one.
    shifted = same & (pairs.overlap >= BESIDE) & (pairs.overlap == nearest[pairs.predicted])
    np.maximum.at(against, pairs.true, np.where(shifted, score * (1 - pairs.overlap), 0))
    margins: Floats = own - against
    return margins


def _is_hidden(predicted: _Predicted, place: int) -> bool:
    """Whether a surer box of any concept is in the same place."""
    own = predicted.of(int(predicted.image[place]))
    surer = predicted.score[own] > predicted.score[place]
    overlaps = intersection_over_union(predicted.sides[own], predicted.sides[place][None])[:, 0]
    return bool((surer & (overlaps >= SAME_PLACE)).any())


def _score_at(predicted: _Predicted, image: int, concept: int, box: Floats) -> float:
    own = predicted.of(image)
    overlaps = intersection_over_union(predicted.sides[own], box[None])[:, 0]
    there = (predicted.concept[own] == concept) & (overlaps >= SAME_PLACE)
    return float(predicted.score[own][there].max(initial=0))


def _predicted(epoch: EpochArrays) -> _Predicted:
    counts = epoch.boxes.value_lengths().to_numpy(zero_copy_only=False)
    flat = epoch.boxes.flatten()
    fields = {
        name: flat.field(name).to_numpy(zero_copy_only=False)
        for name in ("concept", "score", "x", "y", "width", "height")
    }
    sides = np.stack([fields[side] for side in ("x", "y", "width", "height")], axis=1)
    return _Predicted(
        np.repeat(np.arange(len(counts)), counts),
        fields["concept"].astype(np.int64),
        sides.astype(np.float64),
        fields["score"].astype(np.float64),
        np.concatenate([[0], np.cumsum(counts)]),
    )


def _pairs(items: Items, predicted: _Predicted) -> _Pairs:
    assert items.sides is not None
    first = np.searchsorted(items.image, np.arange(len(items.image_ids)))
    after = np.searchsorted(items.image, np.arange(len(items.image_ids)), side="right")
    counts = (after - first)[predicted.image]
    boxes = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(boxes)) - np.repeat(np.cumsum(counts) - counts, counts)
    true = within + first[predicted.image][boxes]
    overlap = _overlaps(predicted.sides[boxes], items.sides[true].astype(np.float64))
    return _Pairs(boxes, true, overlap)


def _overlaps(first: Floats, second: Floats) -> Floats:
    """The IoU of each box with the one beside it in the other array."""
    start = np.maximum(first[:, :2], second[:, :2])
    end = np.minimum(first[:, :2] + first[:, 2:], second[:, :2] + second[:, 2:])
    shared = np.maximum(end - start, 0).prod(axis=1)
    union = first[:, 2:].prod(axis=1) + second[:, 2:].prod(axis=1) - shared
    overlap: Floats = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlap
