"""The dataset of a version, as its training gets it."""

from __future__ import annotations

import msgspec

Sides = tuple[float, float, float, float]
"""A box: left, top, width and height, in shares of the image."""


class ManifestLine(msgspec.Struct, frozen=True):
    """An item that trains or validates; `concepts` are the ids that it is annotated with.

    `image` is the image's id; of a crop with `:` and its number, and `crop` is where it lies. In a
    detection view `boxes` has the box of each concept. `blob` is the sha256 of the image's file.
    """

    image: str
    blob: str
    split: str
    concepts: list[str]
    boxes: list[Sides] = []
    crop: Sides | None = None
