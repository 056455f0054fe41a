"""Items of a view: images, or crops of them, which are boxes of a detection view above it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import msgspec

from domain.dataset.annotation import Annotation, Box
from domain.dataset.image import Image, ImageAnnotated
from domain.library.conditions import Conditions, meets
from domain.library.view import DETECTION

_SEPARATOR = ":"

Value = TypeVar("Value")


class Parent(msgspec.Struct, frozen=True):
    """A view above another one, and the conditions that the view just below puts on its items."""

    view_id: str
    kind: str
    conditions: Conditions


class Item(msgspec.Struct, frozen=True):
    """An image, or the crop of it that is the annotation `number` of the detection view above."""

    number: int | None = None
    box: Box | None = None

    def key(self, image_id: str) -> str:
        """The item's key in manifests, predictions and records of epochs."""
        return image_id if self.number is None else f"{image_id}{_SEPARATOR}{self.number}"

    def own(self, annotations: Sequence[Annotation]) -> list[Annotation]:
        """Those of an image's annotations in a view of such items that are the item's."""
        return [each for each in annotations if self.box is None or each.box == self.box]


IMAGE = Item()


def image_id_of(key: str) -> str:
    """The id of the image that an item's key is about."""
    return key.partition(_SEPARATOR)[0]


def by_key(keys: Iterable[str], by_image: Mapping[str, Value]) -> dict[str, Value]:
    """The values of items by their keys, from those of their images; those that have one."""
    return {key: by_image[own] for key in keys if (own := image_id_of(key)) in by_image}


def items_of(annotations: Mapping[str, ImageAnnotated], parents: Sequence[Parent]) -> list[Item]:
    """The items that a view has of an image, by the image's annotations in each view; `parents` are
    the views above it, the nearest first.

    Of a view without parents that is the image. Boxes that are the same are one crop.
    """
    items = [IMAGE]
    for parent in reversed(parents):
        annotated = annotations.get(parent.view_id)
        if annotated is None or not items:
            return []
        if parent.kind == DETECTION:
            items = _crops(annotated.annotations, parent.conditions)
            continue
        items = [
            item
            for item in items
            if meets({a.concept_id for a in item.own(annotated.annotations)}, parent.conditions)
        ]
    return items


def _crops(annotations: Sequence[Annotation], conditions: Conditions) -> list[Item]:
    crops: dict[Box, Item] = {}
    for number, annotation in enumerate(annotations):
        if annotation.box is not None and meets({annotation.concept_id}, conditions):
            crops.setdefault(annotation.box, Item(number, annotation.box))
    return list(crops.values())


def is_annotated(image: Image, view_id: str, item: Item, parents: Sequence[Parent]) -> bool:
    """Whether an item that the view has of the image is annotated in it.

    A crop that is not listed is, too, if the image is recorded as holding no other concept while
    its boxes and their annotations in the views between have not changed since.
    """
    annotated = image.annotations.get(view_id)
    if annotated is None:
        return False
    if item.own(annotated.annotations):
        return True
    if not annotated.without_concept:
        return False
    if item.box is None:
        return True
    since = image.annotated_at[view_id]
    for parent in parents:
        if image.annotated_at[parent.view_id] > since:
            return False
        if parent.kind == DETECTION:
            break
    return True
