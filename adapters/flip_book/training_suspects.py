"""Suspects among training images, by how the model learnt them over the epochs."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from adapters.flip_book.arrays import Book
from adapters.flip_book.box_margins import BESIDE, box_margins, missing_boxes
from adapters.flip_book.folds import NEVER, Dynamics
from adapters.flip_book.suspects import AUM, LOSS, Suspect, missing_key, quoted, ranked
from domain.dataset.annotation import SAME_PLACE, Box, DoubtedLabel
from domain.dataset.image import TRAIN
from domain.dataset.suspects import ADD, MOVE, RELABEL, REMOVE, Suggestion

Floats = NDArray[np.float64]

_UNDECIDED = 0.0
"""The AUM of an item whose truth and another concept were as likely, over the epochs."""


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

    They are the items for which another answer was likelier over the epochs, and predicted boxes
    where none is annotated. Of boxes it is the later half of the epochs that counts: a detector
    predicts next to nothing in its first ones.
    """
    items, metrics = book.items, book.dynamics()
    scores = box_margins(_later_half(book)) if book.detects else metrics.aum
    chosen = items.of_training & (scores < _UNDECIDED)
    found = [
        Suspect(
            items.keys[place],
            items.image_ids[items.image[place]],
            TRAIN,
            0,
            float(scores[place]),
            AUM,
            _label(book, place),
            *_suggested(book, metrics, place, labels),
        )
        for place in np.flatnonzero(chosen).tolist()
    ]
    for missing in missing_boxes(_later_half(book)) if book.detects else ():
        concept_id, image_id = items.concepts[missing.concept], items.image_ids[missing.image]
        found.append(
            Suspect(
                missing_key(image_id, missing.concept, missing.box),
                image_id,
                TRAIN,
                0,
                -missing.confidence,
                AUM,
                DoubtedLabel(concept_id, False, missing.box),
                Suggestion(ADD, concept_id, missing.box),
                f"predicted a {quoted(labels, concept_id)} where no box is, in"
                f" {missing.epochs} of the last {_epochs(len(_later_half(book).epochs))}",
            )
        )
    return ranked(found)


def _later_half(book: Book) -> Book:
    return Book(book.epochs[len(book.epochs) // 2 :])


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
    often, learnt = _of(len(wrong), len(book.epochs)), _learnt(metrics, place)
    own = items.concepts[truth]
    if items.positive is not None:
        if items.positive[place]:
            return Suggestion(REMOVE, own), (
                f"did not predict {quoted(labels, own)} in {often}, {learnt}"
            )
        return Suggestion(ADD, own), f"predicted {quoted(labels, own)} in {often}, {learnt}"
    concept, times = Counter(wrong).most_common(1)[0]
    other = items.concepts[concept]
    often = _of(times, len(book.epochs))
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
    """What speaks most against a true box after the last epoch, as its margin has it."""
    items = book.items
    assert items.sides is not None
    truth = int(items.concept[place])
    own, box = items.concepts[truth], Box(*items.sides[place].tolist())
    times = sum(int(epoch.correct[place]) for epoch in book.epochs)
    found = f"{quoted(labels, own)} was found in {_of(times, len(book.epochs))}"
    best, against = 0.0, (Suggestion(REMOVE, own, box), f"nothing predicted here; {found}")
    for each in book.last.boxes_of(int(items.image[place])):
        other, score = _box(each), each["score"]
        overlap = box.overlap(other)
        if each["concept"] != truth and overlap >= SAME_PLACE and score * overlap > best:
            best, concept_id = score * overlap, items.concepts[each["concept"]]
            why = f"predicted {quoted(labels, concept_id)} in this box with {score:.2f}; {found}"
            against = Suggestion(RELABEL, concept_id, box), why
        if each["concept"] == truth and overlap >= BESIDE and score * (1 - overlap) > best:
            best = score * (1 - overlap)
            why = f"predicted beside this box with {score:.2f}; {found}"
            against = Suggestion(MOVE, own, other), why
    return against


def _box(predicted: Mapping[str, float]) -> Box:
    return Box(*(float(predicted[side]) for side in ("x", "y", "width", "height")))


def _of(number: int, epochs: int) -> str:
    return f"{number} of {_epochs(epochs)}"


def _epochs(number: int) -> str:
    return f"{number} epoch{'' if number == 1 else 's'}"
