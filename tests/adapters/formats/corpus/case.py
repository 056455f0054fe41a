"""A layout of data as a tool writes it, and what an import must take from it."""

from collections.abc import Mapping

import msgspec

from domain.dataset.image import TEST, TRAIN, VALIDATION, Box

IMAGE = ""
"""The content of an image file: `lay` makes one of 200 by 100 pixels."""
BOX = Box(0.05, 0.2, 0.5, 0.5)
"""The box from (10, 20) to (110, 70) of such an image."""
YOLO = "0.3 0.45 0.5 0.5"
"""The same box in YOLO's numbers."""
WITHOUT = "without concept"
Given = str | tuple[tuple[str, Box], ...] | None
"""A label, labels with boxes, `WITHOUT`, or None for an image that is not annotated."""


class Case(msgspec.Struct, frozen=True):
    """`images` are the split and the annotations of each image that is taken, by path; `left_out`
    the paths of those that are not. `notes` are words of the notes, in any order."""

    source: str
    files: Mapping[str, str]
    format: str
    images: Mapping[str, tuple[str | None, Given]]
    left_out: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def boxed(*labels: str) -> Given:
    return tuple((label, BOX) for label in labels)


def case(
    source: str,
    form: str,
    files: Mapping[str, str],
    images: Mapping[str, tuple[str | None, Given]],
    left_out: tuple[str, ...] = (),
    notes: tuple[str, ...] = (),
) -> Case:
    return Case(source, files, form, images, frozenset(left_out), notes)


__all__ = [
    "BOX",
    "IMAGE",
    "TEST",
    "TRAIN",
    "VALIDATION",
    "WITHOUT",
    "YOLO",
    "Case",
    "boxed",
    "case",
]
