"""Scenes composed of real handwritten digits, for views that ask which digits, and where."""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from cli.demo.digits import read_digits
from domain.library.view import DETECTION

VALIDATION = 300

SIDE = 64
"""Pixels a side of a scene."""

_DIGIT_SIDES = (16, 24)
_MOST_DIGITS = 4
_INK = 60
"""Grey of at least this belongs to a digit; the noise is darker."""
_TRAIN_DIGITS = 1437
"""Digits from here on are seen in validation scenes only."""


class PlacedDigit(NamedTuple):
    """A digit and the box it fills, in shares of the scene's sides."""

    digit: int
    left: float
    top: float
    right: float
    bottom: float


class DigitScene(NamedTuple):
    """A scene as PNG; `digits` may be empty."""

    name: str
    png: bytes
    split: str
    digits: list[PlacedDigit]


def digit_scenes(train: int, validation: int, seed: int) -> Iterator[DigitScene]:
    """Scenes of none to four digits on noise that do not overlap. The same seed, the same bytes."""
    import numpy as np

    data = read_digits()
    random = np.random.default_rng(seed)
    places = range(len(data.images))
    for number in range(train + validation):
        split = "train" if number < train else "validation"
        choice = places[:_TRAIN_DIGITS] if split == "train" else places[_TRAIN_DIGITS:]
        pixels = random.integers(0, 40, (SIDE, SIDE))
        placed: list[PlacedDigit] = []
        for place in random.choice(choice, int(random.integers(0, _MOST_DIGITS + 1))):
            digit = _place(pixels, data.images[place], int(data.target[place]), placed, random)
            if digit is not None:
                placed.append(digit)
        yield DigitScene(f"scene-{number:04}.png", _png(pixels), split, placed)


def _place(
    pixels: Any, image: Any, digit: int, others: list[PlacedDigit], random: Any
) -> PlacedDigit | None:
    """Draw a digit where it covers no other; None if no such place is found."""
    import numpy as np
    from PIL import Image

    side = int(random.integers(*_DIGIT_SIDES, endpoint=True))
    grey = Image.fromarray((image * (255 / 16)).round().astype("uint8"))
    drawn = np.asarray(grey.resize((side, side), Image.Resampling.BICUBIC)).astype(np.int64)
    rows, columns = (np.nonzero((drawn > _INK).any(axis))[0] for axis in (1, 0))
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    left, right = int(columns[0]), int(columns[-1]) + 1
    for _ in range(20):
        x, y = (int(corner) for corner in random.integers(0, SIDE - side + 1, 2))
        placed = PlacedDigit(
            digit,
            *((x + left) / SIDE, (y + top) / SIDE, (x + right) / SIDE, (y + bottom) / SIDE),
        )
        if not any(_overlap(placed, other) for other in others):
            window = pixels[y : y + side, x : x + side]
            np.maximum(window, drawn, out=window)
            return placed
    return None


def _overlap(first: PlacedDigit, other: PlacedDigit) -> bool:
    beside = first.right <= other.left or other.right <= first.left
    return not (beside or first.bottom <= other.top or other.bottom <= first.top)


def _png(pixels: Any) -> bytes:
    from PIL import Image

    encoded = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype("uint8")).save(encoded, "PNG")
    return encoded.getvalue()


def write_scenes(folder: Path, views: Mapping[str, str], train: int, seed: int) -> int:
    """Write `train` scenes and those for validation to a folder as Studio JSON lines; how many.

    `views` are names by their kind.
    """
    header = {
        "name": "Scenes of digits",
        "splits": ["train", "validation"],
        "views": [
            {"name": name, "type": kind, "concepts": [{"name": str(n)} for n in range(10)]}
            for kind, name in views.items()
        ],
    }
    lines = [header]
    (folder / "images").mkdir()
    for scene in digit_scenes(train, VALIDATION, seed):
        (folder / "images" / scene.name).write_bytes(scene.png)
        annotations = [
            annotation
            for kind, name in views.items()
            for annotation in _annotations(scene, name, boxed=kind == DETECTION)
        ]
        data = [{"file": f"images/{scene.name}"}]
        lines.append({"data": data, "annotations": annotations, "splits": [scene.split]})
    with (folder / "scenes.jsonl").open("wb") as file:
        for line in lines:
            file.write(msgspec.json.encode(line) + b"\n")
    return len(lines) - 1


def _annotations(scene: DigitScene, view: str, *, boxed: bool) -> Iterator[dict[str, Any]]:
    if not scene.digits:
        yield {"view": view, "concepts": []}
    elif boxed:
        for digit in scene.digits:
            box = {"xmin": digit.left, "ymin": digit.top, "xmax": digit.right, "ymax": digit.bottom}
            concepts = [{"name": str(digit.digit)}]
            yield {"view": view, "concepts": concepts, "region": {"bbox": box}}
    else:
        held = sorted({digit.digit for digit in scene.digits})
        yield {"view": view, "concepts": [{"name": str(digit)} for digit in held]}
