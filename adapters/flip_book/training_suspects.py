"""Suspects among training images, by how the model learnt them over the epochs."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adapters.flip_book.arrays import Book
from adapters.flip_book.boxes import FOUND, OUTCOMES, SHIFTED, SPURIOUS, SWAPPED
from adapters.flip_book.folds import NEVER, Dynamics
from adapters.flip_book.suspects import AUM, CONFIDENCE, LOSS, Suspect, missing_key, quoted, ranked
from domain.dataset.annotation import SAME_PLACE, Box, DoubtedLabel
from domain.dataset.image import TRAIN
from domain.dataset.suspects import ADD, MOVE, RELABEL, REMOVE, Suggestion

Floats = NDArray[np.float64]

_UNDECIDED = 0.0
"""The AUM of an item whose truth and another concept were as likely, over the epochs."""


class MissingBox(NamedTuple):
    """A box predicted where no annotation is: the image's index, and its mean score over the
    epochs, 0 where it was not predicted."""

    image: int
    concept: int
    box: Box
    confidence: float
    epochs: int


def training_scores(book: Book, by: str) -> Floats:
    """A score of each item, the lower the more suspect.

    AUM is of Pleiss et al. 2020 (arXiv 2001.10528), confidence of Swayamdipta et al. 2020 (arXiv
    2009.10795); the loss is that of the last epoch, negative.
    """
    if by == LOSS:
        return -book.last.loss.astype(np.float64)
    dynamics = book.dynamics()
    return dynamics.aum if by == AUM else dynamics.confidence


def training_suspects(book: Book, labels: Mapping[str, str]) -> list[Suspect]:
    """The suspects among training images, the most suspect first.

    An image or tag is one if another answer was likelier over the epochs. A box is one if it is
    not found after the last epoch; so is a predicted box where none is annotated.
    """
    items, of_training = book.items, book.items.of_training
    metrics = book.dynamics()
    if book.detects:
        scores, measure = metrics.confidence, CONFIDENCE
        chosen = of_training & ~book.last.correct
    else:
        scores, measure = metrics.aum, AUM
        chosen = of_training & (scores < _UNDECIDED)
    found = [
        Suspect(
            items.keys[place],
            items.image_ids[items.image[place]],
            TRAIN,
            0,
            float(scores[place]),
            measure,
            _label(book, place),
            *_suggested(book, metrics, place, labels),
        )
        for place in np.flatnonzero(chosen).tolist()
    ]
    for missing in missing_boxes(book) if book.detects else ():
        concept_id, image_id = items.concepts[missing.concept], items.image_ids[missing.image]
        found.append(
            Suspect(
                missing_key(image_id, missing.concept, missing.box),
                image_id,
                TRAIN,
                0,
                1 - missing.confidence,
                CONFIDENCE,
                DoubtedLabel(concept_id, False, missing.box),
                Suggestion(ADD, concept_id, missing.box),
                f"predicted a {quoted(labels, concept_id)} where no box is, in"
                f" {_epochs(missing.epochs, len(book.epochs))}",
            )
        )
    return ranked(found)


def missing_boxes(book: Book) -> list[MissingBox]:
    """The boxes of training images predicted after the last epoch where no annotation is."""
    found = []
    for image in np.flatnonzero(book.items.train).tolist():
        spurious = [box for box in book.last.boxes_of(image) if box["outcome"] == SPURIOUS]
        if not spurious:
            continue
        earlier = [epoch.boxes_of(image) for epoch in book.epochs]
        for each in spurious:
            box = _box(each)
            scores = [
                max(
                    (
                        other["score"]
                        for other in boxes
                        if other["concept"] == each["concept"]
                        and box.overlap(_box(other)) >= SAME_PLACE
                    ),
                    default=0.0,
                )
                for boxes in earlier
            ]
            seen = sum(score > 0 for score in scores)
            found.append(MissingBox(image, each["concept"], box, float(np.mean(scores)), seen))
    return found


def _label(book: Book, place: int) -> DoubtedLabel:
    items = book.items
    present = items.positive is None or bool(items.positive[place])
    box = None if items.sides is None else Box(*items.sides[place].tolist())
    return DoubtedLabel(items.concepts[items.concept[place]], present, box)


def _suggested(
    book: Book, metrics: Dynamics, place: int, labels: Mapping[str, str]
) -> tuple[Suggestion, str]:
    if book.detects:
        return _suggested_box(book, place, labels)
    items, truth = book.items, int(book.items.concept[place])
    wrong = [int(epoch.predicted[place]) for epoch in book.epochs if not epoch.correct[place]]
    often, learnt = _epochs(len(wrong), len(book.epochs)), _learnt(metrics, place)
    own = items.concepts[truth]
    if items.positive is not None:
        if items.positive[place]:
            return Suggestion(REMOVE, own), (
                f"did not predict {quoted(labels, own)} in {often}, {learnt}"
            )
        return Suggestion(ADD, own), f"predicted {quoted(labels, own)} in {often}, {learnt}"
    if not wrong:
        # Of two classes that were as likely the wrong one may have a higher logit on average.
        return Suggestion(RELABEL, own), f"{learnt}, but never with certainty"
    concept, times = Counter(wrong).most_common(1)[0]
    other = items.concepts[concept]
    often = _epochs(times, len(book.epochs))
    return Suggestion(RELABEL, other), f"predicted {quoted(labels, other)} in {often}, {learnt}"


def _learnt(metrics: Dynamics, place: int) -> str:
    first, forgotten = int(metrics.first_learnt[place]), int(metrics.forgotten[place])
    if first == NEVER:
        return "never learnt"
    if not forgotten:
        return f"learnt in epoch {first}"
    times = "once" if forgotten == 1 else f"{forgotten} times"
    return f"learnt in epoch {first} and forgotten {times}"


def _suggested_box(book: Book, place: int, labels: Mapping[str, str]) -> tuple[Suggestion, str]:
    items, last = book.items, book.last
    assert items.sides is not None
    assert items.number is not None
    assert last.outcome is not None
    own = items.concepts[items.concept[place]]
    box = Box(*items.sides[place].tolist())
    outcome = OUTCOMES[last.outcome[place]]
    found_index = OUTCOMES.index(FOUND)
    missed = sum(
        int(epoch.outcome is not None and epoch.outcome[place] != found_index)
        for epoch in book.epochs
    )
    often = _epochs(missed, len(book.epochs))
    matches = [
        each
        for each in last.boxes_of(int(items.image[place]))
        if each["outcome"] == outcome and each["matched"] == items.number[place]
    ]
    if outcome == SWAPPED and matches:
        other = items.concepts[matches[0]["concept"]]
        return Suggestion(RELABEL, other, box), (
            f"predicted {quoted(labels, other)} in this box; {quoted(labels, own)} was not found"
            f" in {often}"
        )
    if outcome == SHIFTED and matches:
        return Suggestion(MOVE, own, _box(matches[0])), (
            f"predicted {quoted(labels, own)} beside this box, which was not found in {often}"
        )
    return Suggestion(REMOVE, own, box), f"{quoted(labels, own)} was not found here in {often}"


def _box(predicted: Mapping[str, float]) -> Box:
    return Box(*(float(predicted[side]) for side in ("x", "y", "width", "height")))


def _epochs(number: int, of: int) -> str:
    return f"{number} of {of} epoch{'s' if of > 1 else ''}"
