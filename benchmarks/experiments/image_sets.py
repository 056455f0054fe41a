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

VALIDATION_SHARE = 3
"""One image in three is for validation: with fewer, many trials have the same accuracy."""
_PATCH = 32
_TURNS = ("0", "90", "180", "270")


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
        ("scenes", TAGGING, digits, 48, _scenes),
        ("photos", CLASSIFICATION, _TURNS, _PATCH, _photo_patches),
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
    validation = images // VALIDATION_SHARE
    for scene in digit_scenes(images - validation, validation, 0):
        held = tuple(sorted({str(placed.digit) for placed in scene.digits}))
        yield Sample(scene.png, scene.split, held)


def _photo_patches(images: int) -> Iterator[Sample]:
    """By how many degrees is a patch of a photograph turned? (RotNet, Gidaris et al. 2018.)

    scikit-learn ships two photographs. Training patches are from their left two thirds.
    """
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_sample_images

    photos: Any = load_sample_images().images
    choose = np.random.default_rng(0)
    for place in range(images):
        split = _split(place)
        photo = photos[place // 2 % len(photos)]
        height, width, _ = photo.shape
        border = width * (VALIDATION_SHARE - 1) // VALIDATION_SHARE
        low, high = (border, width) if split == "validation" else (0, border)
        # Twice the side, halved, so that a patch shows more than a texture.
        left = int(choose.integers(low, high - 2 * _PATCH))
        top = int(choose.integers(0, height - 2 * _PATCH))
        patch = photo[top : top + 2 * _PATCH, left : left + 2 * _PATCH]
        turns = int(choose.integers(len(_TURNS)))
        encoded = io.BytesIO()
        turned = Image.fromarray(np.ascontiguousarray(np.rot90(patch, turns)))
        turned.resize((_PATCH, _PATCH), Image.Resampling.BOX).save(encoded, "PNG")
        yield Sample(encoded.getvalue(), split, (_TURNS[turns],))


def _split(place: int) -> str:
    return "train" if place % VALIDATION_SHARE else "validation"


def _labels(labels: tuple[str, ...]) -> tuple[ConceptLabel, ...]:
    return tuple(ConceptLabel(label, label) for label in labels)


def _store(blobs: BlobStore, samples: Iterator[Sample]) -> str:
    lines = [
        ManifestLine(f"image-{place:04}", blobs.put(each.png), each.split, each.concepts)
        for place, each in enumerate(samples)
    ]
    return blobs.put_compressed(map(canonical_line, lines))[0]
