"""Augmentations of one image and its boxes, each sampled from a generator of its own.

torchvision's transforms sample from torch's global generator, which threads would share, so that
no run could be repeated; its functions on pixels and boxes are used, and sampled for here.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from domain.training.augmentations import (
    AUTO,
    BRIGHTNESS,
    CONTRAST,
    HORIZONTAL_FLIP,
    OPERATIONS,
    PATCH_NOISE,
    RANDOM_CROP,
    ROTATION,
    VERTICAL_FLIP,
)
from domain.training.options import Augmentation

_LEAST_OVERLAP = 0.3
"""A box of which a crop leaves less is dropped."""

_TRIES = 10
_BINS = 31
"""Magnitudes of auto-augment, as in TrivialAugment (Müller and Hutter, 2021)."""

_MOVING = frozenset({"ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate"})


class Sample:
    """An image, uint8 of shape (3, height, width), and its boxes: (n, 4), corners in pixels.

    `kept` are the places of the boxes that are still there, of those it came with.
    """

    def __init__(self, image: Tensor, boxes: Tensor) -> None:
        self.image = image
        self.boxes = _boxes(boxes, image)
        self.kept = torch.arange(len(boxes))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.image.shape[-2], self.image.shape[-1]

    def apply(self, transform: Callable[..., Any], *arguments: Any, **named: Any) -> None:
        """A geometric function of torchvision's, on both."""
        self.image = transform(self.image, *arguments, **named)
        self.boxes = _boxes(transform(self.boxes, *arguments, **named), self.image)


def _boxes(boxes: Tensor, image: Tensor) -> Tensor:
    canvas = (image.shape[-2], image.shape[-1])
    wrapped: Tensor = tv_tensors.BoundingBoxes(
        boxes,
        format=tv_tensors.BoundingBoxFormat.XYXY,
        canvas_size=canvas,
    )
    return wrapped


def augment(
    sample: Sample, augmentations: tuple[Augmentation, ...], random: np.random.Generator
) -> None:
    """Apply the operations in order, each by chance. The image keeps its size."""
    for augmentation in augmentations:
        if random.random() < OPERATIONS[augmentation.op].chance:
            _FUNCTIONS[augmentation.op](sample, augmentation.parameters, random)


def _flip_horizontally(sample: Sample, _: dict[str, float], __: np.random.Generator) -> None:
    sample.apply(functional.horizontal_flip)


def _flip_vertically(sample: Sample, _: dict[str, float], __: np.random.Generator) -> None:
    sample.apply(functional.vertical_flip)


def _rotate(sample: Sample, _: dict[str, float], random: np.random.Generator) -> None:
    """Rotate left or right; an image that is not square is stretched back to its shape."""
    size = list(sample.size)
    sample.apply(functional.rotate, 90.0 if random.random() < 0.5 else -90.0, expand=True)
    if list(sample.size) != size:
        sample.apply(functional.resize, size, antialias=True)


def _brighten(sample: Sample, parameters: dict[str, float], random: np.random.Generator) -> None:
    delta = random.uniform(-parameters["max_delta"], parameters["max_delta"])
    sample.image = _as_bytes(_as_floats(sample.image) + delta)


def _contrast(sample: Sample, parameters: dict[str, float], random: np.random.Generator) -> None:
    """Each channel has its own mean."""
    factor = random.uniform(parameters["minimum"], parameters["maximum"])
    pixels = _as_floats(sample.image)
    mean = pixels.mean((1, 2), keepdim=True)
    sample.image = _as_bytes((pixels - mean) * factor + mean)


def _noise(sample: Sample, parameters: dict[str, float], random: np.random.Generator) -> None:
    height, width = sample.size
    side = int(random.integers(1, min(height, width) + 1))
    top = int(random.integers(0, height - side + 1))
    left = int(random.integers(0, width - side + 1))
    deviation = random.uniform(0, parameters["max_deviation"])
    noise = random.standard_normal((3, side, side), np.float32) * deviation
    image = sample.image.clone()
    patch = image[:, top : top + side, left : left + side]
    patch.copy_(_as_bytes(_as_floats(patch) + torch.from_numpy(noise.astype(np.float32))))
    sample.image = image


def _crop(sample: Sample, parameters: dict[str, float], random: np.random.Generator) -> None:
    """No crop is made that would lose every box."""
    height, width = sample.size
    for _ in range(_TRIES):
        area = height * width * random.uniform(parameters["min_area"], parameters["max_area"])
        logs = math.log(parameters["min_aspect"]), math.log(parameters["max_aspect"])
        aspect = math.exp(random.uniform(*logs))
        crop_width, crop_height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            break
    else:
        return
    top = int(random.integers(0, height - crop_height + 1))
    left = int(random.integers(0, width - crop_width + 1))
    corner = torch.tensor([left, top, left + crop_width, top + crop_height])
    boxes = sample.boxes.as_subclass(Tensor)
    clipped = torch.cat(
        (torch.maximum(boxes[:, :2], corner[:2]), torch.minimum(boxes[:, 2:], corner[2:])), 1
    )
    seen = (clipped[:, 2:] - clipped[:, :2]).clamp(min=0).prod(1)
    whole = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    stays = seen >= _LEAST_OVERLAP * whole
    if len(boxes) and not stays.any():
        return
    sample.boxes = _boxes(clipped[stays], sample.image)
    sample.kept = sample.kept[stays]
    place = (top, left, crop_height, crop_width)
    sample.apply(functional.resized_crop, *place, size=[height, width], antialias=True)


def _augment_automatically(
    sample: Sample, _: dict[str, float], random: np.random.Generator
) -> None:
    """TrivialAugment: one operation, of random strength.

    With boxes to follow, only those that move no pixels, after a flip by chance.
    """
    boxed = len(sample.boxes) > 0
    if boxed and random.random() < 0.5:
        sample.apply(functional.horizontal_flip)
    policy = _trivial_augment()
    space = policy._AUGMENTATION_SPACE
    names = [name for name in space if not (boxed and name in _MOVING)]
    name = names[int(random.integers(len(names)))]
    magnitudes, signed = space[name]
    strengths = magnitudes(_BINS, *sample.size)
    strength = 0.0
    if strengths is not None:
        strength = float(strengths[int(random.integers(_BINS))])
        if signed and random.random() < 0.5:
            strength = -strength
    sample.image = policy._apply_image_or_video_transform(
        sample.image, name, strength, interpolation=policy.interpolation, fill=policy._fill
    )


@cache
def _trivial_augment() -> Any:
    return v2.TrivialAugmentWide(num_magnitude_bins=_BINS)


def _as_floats(image: Tensor) -> Tensor:
    return image.to(torch.float32).div_(255)


def _as_bytes(pixels: Tensor) -> Tensor:
    return pixels.clamp_(0, 1).mul_(255).round_().to(torch.uint8)


_FUNCTIONS: dict[str, Callable[[Sample, dict[str, float], np.random.Generator], None]] = {
    HORIZONTAL_FLIP: _flip_horizontally,
    VERTICAL_FLIP: _flip_vertically,
    ROTATION: _rotate,
    BRIGHTNESS: _brighten,
    CONTRAST: _contrast,
    RANDOM_CROP: _crop,
    PATCH_NOISE: _noise,
    AUTO: _augment_automatically,
}
