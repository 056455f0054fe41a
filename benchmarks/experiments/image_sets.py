"""Small sets of images that ship in a package, as jobs for the worker's training function."""

import io
import random
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from adapters.blobs.blobs import BlobStore
from cli.demo.digits import handwritten_digits
from cli.demo.scenes import digit_scenes
from domain.library.view import CLASSIFICATION, TAGGING
from domain.training.manifest import canonical_line
from domain.training.messages import ConceptLabel, ManifestLine

TRAINING, OF = 2, 5
"""Two of five images are for training. Validation costs less than training, and with few images of
it many trials have the same accuracy."""
_PATCH, _STRIP = 32, 80
_PLACES = tuple(f"{photo} {third}" for photo in "ab" for third in ("upper", "middle", "lower"))


class Sample(msgspec.Struct, frozen=True):
    png: bytes
    split: str
    concepts: tuple[str, ...]


class ImageSet(msgspec.Struct, frozen=True):
    """A kind of view with its concepts, and the digest of its manifest in the blob store."""

    name: str
    kind: str
    concepts: tuple[ConceptLabel, ...]
    side: int
    manifest: str


def image_sets(blobs: BlobStore, images: int) -> list[ImageSet]:
    """The sets, of `images` images each. The same number, the same bytes."""
    digits = tuple(str(digit) for digit in range(10))
    makers: list[tuple[str, str, tuple[str, ...], int, Callable[[int], Iterator[Sample]]]] = [
        ("digits", CLASSIFICATION, digits, 32, _digits),
        ("scenes", TAGGING, digits, 32, _scenes),
        ("photos", CLASSIFICATION, _PLACES, _PATCH, _photo_patches),
    ]
    return [
        ImageSet(name, kind, _labels(labels), side, _store(blobs, make(images)))
        for name, kind, labels, side, make in makers
    ]


def _digits(images: int) -> Iterator[Sample]:
    files, digits = handwritten_digits()
    for place, number in enumerate(random.Random(0).sample(range(len(files)), images)):
        yield Sample(files[number][1], _split(place), (str(digits[number]),))


def _scenes(images: int) -> Iterator[Sample]:
    training = images * TRAINING // OF
    for scene in digit_scenes(training, images - training, 0):
        held = tuple(sorted({str(placed.digit) for placed in scene.digits}))
        yield Sample(scene.png, scene.split, held)


def _photo_patches(images: int) -> Iterator[Sample]:
    """Of which photograph, and of which third of its height, is a patch?

    scikit-learn ships two photographs. Patches are from vertical strips, which are for training and
    for validation by turns, so that none overlaps one of the other split.
    """
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_sample_images

    photos: Any = load_sample_images().images
    choose = np.random.default_rng(0)
    for place in range(images):
        split = _split(place)
        label = int(choose.integers(len(_PLACES)))
        photo = photos[label // 3]
        height, width, _ = photo.shape
        left, top = _corner(choose, split, label % 3, height, width)
        patch = photo[top : top + 2 * _PATCH, left : left + 2 * _PATCH]
        encoded = io.BytesIO()
        large = Image.fromarray(np.ascontiguousarray(patch))
        large.resize((_PATCH, _PATCH), Image.Resampling.BOX).save(encoded, "PNG")
        yield Sample(encoded.getvalue(), split, (_PLACES[label],))


def _corner(choose: Any, split: str, third: int, height: int, width: int) -> tuple[int, int]:
    """The left upper corner of a patch of twice the side, which shows more than a texture."""
    strip = 2 * int(choose.integers(width // _STRIP // 2)) + (split == "validation")
    left = strip * _STRIP + int(choose.integers(_STRIP - 2 * _PATCH))
    top = third * height // 3 + int(choose.integers(height // 3 - 2 * _PATCH))
    return left, top


def _split(place: int) -> str:
    return "train" if place % OF < TRAINING else "validation"


def _labels(labels: tuple[str, ...]) -> tuple[ConceptLabel, ...]:
    return tuple(ConceptLabel(label, label) for label in labels)


def _store(blobs: BlobStore, samples: Iterator[Sample]) -> str:
    lines = [
        ManifestLine(f"image-{place:04}", blobs.put(each.png), each.split, each.concepts)
        for place, each in enumerate(samples)
    ]
    return blobs.put_compressed(map(canonical_line, lines))[0]
