"""Suspects among training images, by how the model learnt them over the epochs."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from adapters.flip_book.arrays import Book
from adapters.flip_book.folds import NEVER, Dynamics
from adapters.flip_book.suspects import AUM, LOSS, Suspect, quoted, ranked
from domain.dataset.annotation import DoubtedLabel
from domain.dataset.image import TRAIN
from domain.dataset.suspects import ADD, RELABEL, REMOVE, Suggestion

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
    """The suspects among training images, the most suspect first: items for which another answer
    was likelier over the epochs."""
    items, metrics = book.items, book.dynamics()
    chosen = items.of_training & (metrics.aum < _UNDECIDED)
    return ranked(
        [
            Suspect(
                items.keys[place],
                items.image_ids[items.image[place]],
                TRAIN,
                0,
                float(metrics.aum[place]),
                AUM,
                _label(book, place),
                *_suggested(book, metrics, place, labels),
            )
            for place in np.flatnonzero(chosen).tolist()
        ]
    )


def _label(book: Book, place: int) -> DoubtedLabel:
    items = book.items
    present = items.positive is None or bool(items.positive[place])
    return DoubtedLabel(items.concepts[items.concept[place]], present)


def _suggested(
    book: Book, metrics: Dynamics, place: int, labels: Mapping[str, str]
) -> tuple[Suggestion, str]:
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
        return "never learned"
    if not forgotten:
        return f"learned in epoch {first}"
    times = "once" if forgotten == 1 else f"{forgotten} times"
    return f"learned in epoch {first} and forgotten {times}"


def _of(number: int, epochs: int) -> str:
    return f"{number} of {epochs} epoch{'' if epochs == 1 else 's'}"
