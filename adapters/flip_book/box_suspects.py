"""Suspects among boxes: swapped, shifted, not there, or missing."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from adapters.flip_book.arrays import Book, Bools
from adapters.flip_book.box_margins import (
    BESIDE,
    BoxArrays,
    Doubts,
    MissingBox,
    find_doubts,
    predicted_after,
    true_boxes,
)
from adapters.flip_book.suspects import MARGIN, Suspect, missing_key, quoted, ranked
from domain.dataset.annotation import SAME_PLACE, Box, DoubtedLabel
from domain.dataset.image import TRAIN, VALIDATION
from domain.dataset.suspects import ADD, MOVE, RELABEL, REMOVE, Suggestion


class Detections(NamedTuple):
    """True boxes, and those predicted after each of some epochs, in order."""

    image_ids: Sequence[str]
    concepts: Sequence[str]
    true: BoxArrays
    epochs: Sequence[BoxArrays]

    def name_of(self, concept: int, labels: Mapping[str, str]) -> str:
        return quoted(labels, self.concepts[concept])


def recorded_boxes(book: Book, labels: Mapping[str, str]) -> list[Suspect]:
    """The suspects among boxes of training images, then those of validation images, each by rank.

    The later half of the epochs counts: a detector predicts next to nothing in its first ones. No
    epoch has learnt from a validation image, so that several tell more of it than one.
    """
    later = book.epochs[len(book.epochs) // 2 :]
    items = book.items
    epochs = [predicted_after(epoch) for epoch in later]
    detections = Detections(items.image_ids, items.concepts, true_boxes(items), epochs)
    of = f"{len(book.epochs)} epoch{'' if len(book.epochs) == 1 else 's'}"

    def found(place: int) -> str:
        times = sum(int(epoch.correct[place]) for epoch in book.epochs)
        return f"; found in {times} of {of}"

    return [
        *box_suspects(detections, items.train, TRAIN, labels, found),
        *box_suspects(detections, ~items.train, VALIDATION, labels, found),
    ]


def box_suspects(
    detections: Detections,
    images: Bools,
    split: str,
    labels: Mapping[str, str],
    found: Callable[[int], str],
) -> list[Suspect]:
    """The suspects among the boxes of a split's images, the most suspect first.

    A true box is one if more speaks against it than for it. Boxes are ranked by their margin less
    the mean one of their concept. `found` says in words how often a true box was found.
    """
    true = detections.true
    doubts = find_doubts(true, detections.epochs, len(detections.concepts), images)
    chosen = images[true.image] & (doubts.margins < 0)
    suspects = [
        _of_true_box(detections, doubts, place, split, labels, found)
        for place in np.flatnonzero(chosen).tolist()
    ]
    suspects += [
        _of_missing_box(detections, doubts, missing, split, labels) for missing in doubts.missing
    ]
    return ranked(suspects)


def _of_true_box(
    detections: Detections,
    doubts: Doubts,
    place: int,
    split: str,
    labels: Mapping[str, str],
    found: Callable[[int], str],
) -> Suspect:
    true = detections.true
    image, concept = int(true.image[place]), int(true.concept[place])
    image_id = detections.image_ids[image]
    suggestion, reason = _suggested(detections, place, labels)
    return Suspect(
        f"{image_id}:{place - int(true.starts[image])}",
        image_id,
        split,
        0,
        float(doubts.margins[place] - doubts.concept_means[concept]),
        MARGIN,
        DoubtedLabel(detections.concepts[concept], True, _box(true, place)),
        suggestion,
        reason + found(place),
    )


def _suggested(
    detections: Detections, place: int, labels: Mapping[str, str]
) -> tuple[Suggestion, str]:
    """What speaks most against a true box after the last epoch, as its margin has it."""
    true, last = detections.true, detections.epochs[-1]
    box, truth = _box(true, place), int(true.concept[place])
    own = detections.concepts[truth]
    name = detections.name_of(truth, labels)
    best, against = 0.0, (Suggestion(REMOVE, own, box), f"no {name} predicted here")
    for each in last.of(int(true.image[place])):
        other, score, concept = _box(last, each), float(last.score[each]), int(last.concept[each])
        overlap = box.overlap(other)
        if concept != truth and overlap >= SAME_PLACE and score * overlap > best:
            best = score * overlap
            why = f"predicted {detections.name_of(concept, labels)} in this box with {score:.2f}"
            against = Suggestion(RELABEL, detections.concepts[concept], box), why
        if concept == truth and BESIDE <= overlap < SAME_PLACE and score > best:
            best = score
            against = Suggestion(MOVE, own, other), f"predicted beside this box with {score:.2f}"
    return against


def _of_missing_box(
    detections: Detections,
    doubts: Doubts,
    missing: MissingBox,
    split: str,
    labels: Mapping[str, str],
) -> Suspect:
    last, place = detections.epochs[-1], missing.place
    image_id = detections.image_ids[int(last.image[place])]
    concept, box = int(last.concept[place]), _box(last, place)
    own, number = detections.concepts[concept], len(detections.epochs)
    often = f", in {missing.epochs} of the last {number} epochs" if number > 1 else ""
    return Suspect(
        missing_key(image_id, concept, box),
        image_id,
        split,
        0,
        float(-missing.confidence - doubts.concept_means[concept]),
        MARGIN,
        DoubtedLabel(own, False, box),
        Suggestion(ADD, own, box),
        f"predicted {detections.name_of(concept, labels)} with {last.score[place]:.2f} where"
        f" there is no box{often}",
    )


def _box(boxes: BoxArrays, place: int) -> Box:
    return Box(*boxes.sides[place].tolist())
