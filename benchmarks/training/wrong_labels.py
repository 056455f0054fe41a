"""Trainings on images some of whose labels are wrong on purpose, by a seed."""

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from adapters.blobs.blobs import BlobStore
from cli.demo.digits import handwritten_digits
from cli.demo.scenes import PlacedDigit, digit_scenes
from domain.dataset.annotation import SAME_PLACE, Box
from domain.training.manifest import canonical_line
from domain.training.messages import ConceptLabel, ManifestLine, TrainJob
from domain.training.options import resolve_options

SHARE = 0.05
"""Of the labels that are wrong, in either split."""

DIGITS = tuple(str(digit) for digit in range(10))

_SHIFTS = (0.4, 0.7)
"""The least and the largest shift of a box, in its own width and height."""


class WrongBox(NamedTuple):
    """A box that was shifted or got another concept, by its number in the image, or that was
    deleted; and where it is in truth."""

    number: int | None
    truth: Box


class Wrong(NamedTuple):
    """A training, and the images of its wrong labels; in detection with the boxes."""

    job: TrainJob
    boxes: Mapping[str, Sequence[WrongBox]]


def wrong_digits(blobs: BlobStore, images: int | None, seed: int, **options: object) -> Wrong:
    """Single digits, of which a fifth validate."""
    files, digits = handwritten_digits()
    chance = random.Random(seed)
    numbers = chance.sample(range(len(files)), images or len(files))
    validating = len(numbers) // 5
    wrong = {
        *_some(chance, range(validating)),
        *_some(chance, range(validating, len(numbers))),
    }
    lines = []
    for place, number in enumerate(numbers):
        label = str(digits[number])
        if place in wrong:
            label = chance.choice([digit for digit in DIGITS if digit != label])
        split = "validation" if place < validating else "train"
        lines.append(
            ManifestLine(f"image-{place:04}", blobs.put(files[number][1]), split, (label,))
        )
    boxes: dict[str, list[WrongBox]] = {lines[place].image: [] for place in wrong}
    return Wrong(_job(blobs, "classification", lines, options), boxes)


def wrong_scenes(
    blobs: BlobStore, train: int, validation: int, seed: int, **options: object
) -> Wrong:
    """Scenes of digits, with boxes that are deleted, shifted, or of another digit."""
    chance = random.Random(seed)
    boxes: dict[str, list[WrongBox]] = {}
    lines = []
    for scene in digit_scenes(train, validation, seed):
        kept: list[tuple[str, Box, Box | None]] = []
        for digit in scene.digits:
            concept, box = str(digit.digit), _box(digit)
            if chance.random() >= SHARE:
                kept.append((concept, box, None))
                continue
            match chance.choice(("deleted", "shifted", "swapped")):
                case "deleted":
                    boxes.setdefault(scene.name, []).append(WrongBox(None, box))
                case "shifted":
                    kept.append((concept, _shifted(chance, box), box))
                case _:
                    others = [other for other in DIGITS if other != concept]
                    kept.append((chance.choice(others), box, box))
        kept.sort(key=lambda each: (each[0], each[1].x, each[1].y))
        for number, (_, _, wrong) in enumerate(kept):
            if wrong is not None:
                boxes.setdefault(scene.name, []).append(WrongBox(number, wrong))
        if scene.split == "train" and not kept:
            boxes.pop(scene.name, None)
            continue
        concepts = tuple(concept for concept, _, _ in kept)
        sides = tuple((box.x, box.y, box.width, box.height) for _, box, _ in kept)
        blob = blobs.put(scene.png)
        lines.append(ManifestLine(scene.name, blob, scene.split, concepts, sides))
    return Wrong(_job(blobs, "detection", lines, options), boxes)


def points_to(wrong: WrongBox, number: int | None, box: Box) -> bool:
    """Whether a suspect of the same image, by the number of its box or the place of one that is
    missing, is this wrong box."""
    if number is not None:
        return number == wrong.number
    return wrong.truth.overlap(box) >= SAME_PLACE


def _some(chance: random.Random, places: range) -> list[int]:
    return chance.sample(places, round(SHARE * len(places)))


def _box(digit: PlacedDigit) -> Box:
    return Box(digit.left, digit.top, digit.right - digit.left, digit.bottom - digit.top)


def _shifted(chance: random.Random, box: Box) -> Box:
    """A box beside a digit, of which it still shows a part."""
    x = box.x + chance.choice((-1, 1)) * chance.uniform(*_SHIFTS) * box.width
    y = box.y + chance.choice((-1, 1)) * chance.uniform(0, _SHIFTS[0]) * box.height
    return Box(min(max(x, 0), 1 - box.width), min(max(y, 0), 1 - box.height), box.width, box.height)


def _job(
    blobs: BlobStore, kind: str, lines: Sequence[ManifestLine], options: Mapping[str, object]
) -> TrainJob:
    return TrainJob(
        version_id="version",
        attempt=1,
        kind=kind,
        concepts=tuple(ConceptLabel(digit, digit) for digit in DIGITS),
        options=resolve_options(kind, {"pretrained": "none", **options}),
        manifest=blobs.put_compressed(map(canonical_line, lines))[0],
        correlation_id="benchmark",
    )
