"""The items of an epoch as arrays, and those of a version's epochs together."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapters.flip_book.boxes import FOUND, OUTCOMES
from adapters.flip_book.folds import Dynamics, dynamics
from domain.library.view import DETECTION, TAGGING

Bools = NDArray[np.bool_]
Numbers = NDArray[np.int32]
Measured = NDArray[np.float32]


class ItemsUnreadable(Exception):
    """The file is not one of an epoch's items, or not one of this version."""


class Items(msgspec.Struct, frozen=True, dict=True):
    """What items are, in all epochs: `image` is the index of an item's image in `image_ids`.

    `positive` is whether the image has the concept, in tagging. `number` is the index of a true
    box in its image, and `sides` are its left, top, width and height, in detection.
    """

    kind: str
    concepts: tuple[str, ...]
    image_ids: list[str]
    train: Bools
    image: Numbers
    concept: Numbers
    positive: Bools | None
    number: Numbers | None
    sides: Measured | None

    def __len__(self) -> int:
        return len(self.image)

    @property
    def of_training(self) -> Bools:
        """Whether each item is of a training image."""
        of_training: Bools = self.train[self.image]
        return of_training

    @cached_property
    def keys(self) -> list[str]:
        """The items' keys, as docs/decisions/0043 has them."""
        images = [self.image_ids[image] for image in self.image.tolist()]
        if self.kind == TAGGING:
            concepts = [self.concepts[concept] for concept in self.concept.tolist()]
            return [f"{image}:{concept}" for image, concept in zip(images, concepts, strict=True)]
        if self.number is not None:
            numbers = self.number.tolist()
            return [f"{image}:{number}" for image, number in zip(images, numbers, strict=True)]
        return images

    @cached_property
    def places(self) -> dict[str, int]:
        """The index of each item by its key."""
        return {key: place for place, key in enumerate(self.keys)}

    def are_those_of(self, other: "Items") -> bool:
        return (
            (self.kind, self.concepts, self.image_ids)
            == (other.kind, other.concepts, other.image_ids)
            and np.array_equal(self.train, other.train)
            and np.array_equal(self.image, other.image)
            and np.array_equal(self.concept, other.concept)
            and _equal(self.positive, other.positive)
            and _equal(self.number, other.number)
        )


class EpochArrays(msgspec.Struct, frozen=True):
    """What the items measured after an epoch, in the order of `items`.

    `predicted` is the index of a concept or -1; in tagging it is 1 or 0. `outcome` is an index in
    `OUTCOMES`, and `boxes` are each image's predicted boxes, an Arrow array, in detection.
    """

    items: Items
    epoch: int
    predicted: Numbers
    probability: Measured
    margin: Measured
    loss: Measured
    outcome: NDArray[np.int8] | None
    boxes: Any

    @property
    def correct(self) -> Bools:
        if self.outcome is not None:
            correct: Bools = self.outcome == OUTCOMES.index(FOUND)
            return correct
        truth = self.items.concept if self.items.positive is None else self.items.positive
        as_predicted: Bools = self.predicted == truth
        return as_predicted

    @property
    def size(self) -> int:
        """Bytes of memory, approximately."""
        boxes = 0 if self.boxes is None else self.boxes.nbytes
        return 40 * len(self.items) + 20 * len(self.items.image_ids) + boxes

    def boxes_of(self, image: int) -> list[dict[str, Any]]:
        """The predicted boxes of an image, by falling score."""
        boxes: list[dict[str, Any]] = self.boxes[image].as_py()
        return boxes


class Book(msgspec.Struct, frozen=True):
    """A version's epochs, in order; there is at least one. All have the same items."""

    epochs: Sequence[EpochArrays]

    def __post_init__(self) -> None:
        for epoch in self.epochs[1:]:
            if not epoch.items.are_those_of(self.items):
                raise ItemsUnreadable(
                    f"the items of epoch {epoch.epoch} differ from those of other epochs"
                )

    @property
    def items(self) -> Items:
        return self.epochs[0].items

    @property
    def last(self) -> EpochArrays:
        return self.epochs[-1]

    def dynamics(self, place: int | None = None) -> Dynamics:
        """The metrics over all these epochs, of all items or of one."""
        which = slice(None) if place is None else slice(place, place + 1)
        return dynamics(
            np.stack([epoch.probability[which] for epoch in self.epochs]),
            np.stack([epoch.margin[which] for epoch in self.epochs]),
            np.stack([epoch.correct[which] for epoch in self.epochs]),
            np.array([epoch.epoch for epoch in self.epochs]),
        )

    def until(self, epoch: int) -> "Book":
        """The epochs up to one, which is among them."""
        return Book([each for each in self.epochs if each.epoch <= epoch])

    @property
    def detects(self) -> bool:
        return self.items.kind == DETECTION


def _equal(first: NDArray[Any] | None, second: NDArray[Any] | None) -> bool:
    if first is None or second is None:
        return first is second
    return np.array_equal(first, second)
