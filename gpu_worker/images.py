"""One image: from the bytes of its blob to the pixels that a network takes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from adapters.images.crops import crop_edges
from adapters.images.decoding import Undecodable
from adapters.images.decoding import decode as decode_rgb
from domain.training.architectures import KEEP_ASPECT_RATIO
from domain.training.messages import Sides
from domain.training.options import TrainingOptions

Pixels = NDArray[np.uint8]


class ImageUnreadable(Exception):
    """A training image is missing or cannot be decoded; the message names it and says why."""


class Fitted(NamedTuple):
    """RGB pixels, shape (height, width, 3). The image fills `width` and `height` of them."""

    pixels: Pixels
    width: int
    height: int


def decode(
    data: bytes,
    options: TrainingOptions,
    max_pixels: int,
    grey_bits: int | None = None,
    crop: Sides | None = None,
) -> Fitted:
    """An image, or a crop of it, as RGB, resized with antialiasing as the options say.

    `grey_bits` are those of the dataset's 16-bit grey. Raises `ImageUnreadable` for what is no
    image, is truncated, or has more than `max_pixels`.
    """
    return decode_items(data, options, max_pixels, grey_bits, [crop])[0]


def decode_items(
    data: bytes,
    options: TrainingOptions,
    max_pixels: int,
    grey_bits: int | None,
    crops: Sequence[Sides | None],
) -> list[Fitted]:
    """Several crops of an image, which is decoded once; None is the image itself."""
    try:
        image = decode_rgb(data, max_pixels, grey_bits=grey_bits)
    except Undecodable as error:
        raise ImageUnreadable(str(error)) from error
    return [_fit(_cut(image, options, crop), options) for crop in crops]


def _cut(image: Image.Image, options: TrainingOptions, crop: Sides | None) -> Image.Image:
    if crop is None:
        return image if options.crops else _without_margin(image, options.margin_crop)
    return image.crop(crop_edges(image.size, crop, options.margin_crop))


def _without_margin(image: Image.Image, share: float) -> Image.Image:
    cut = round(min(image.size) * share / 2)
    return ImageOps.crop(image, cut) if cut else image


def _fit(image: Image.Image, options: TrainingOptions) -> Fitted:
    width, height = options.input_size
    if options.resizer != KEEP_ASPECT_RATIO:
        return Fitted(np.asarray(_resized(image, width, height)), width, height)
    scale = width / max(image.size)
    fit_width = max(1, round(image.width * scale))
    fit_height = max(1, round(image.height * scale))
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:fit_height, :fit_width] = np.asarray(_resized(image, fit_width, fit_height))
    return Fitted(pixels, fit_width, fit_height)


def _resized(image: Image.Image, width: int, height: int) -> Image.Image:
    return image.resize((width, height), Image.Resampling.BILINEAR)
