"""One image: from the bytes of its blob to the pixels that a network takes."""

import io
import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from domain.training.architectures import KEEP_ASPECT_RATIO
from domain.training.options import TrainingOptions

Pixels = NDArray[np.uint8]


# Errors that Pillow's decoders raise on damaged files.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    struct.error,
    Image.DecompressionBombError,
)


class ImageUnreadable(Exception):
    """A training image is missing or cannot be decoded; the message names it and says why."""


class Fitted(NamedTuple):
    """RGB pixels, shape (height, width, 3). The image fills `width` and `height` of them."""

    pixels: Pixels
    width: int
    height: int


def decode(data: bytes, options: TrainingOptions, max_pixels: int) -> Fitted:
    """An image turned upright by EXIF and resized with antialiasing as the options say.

    Raises `ImageUnreadable` for what is no image, is truncated, or has more than `max_pixels`.
    """
    Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > max_pixels:
                raise ImageUnreadable(
                    f"it has {image.width} x {image.height} pixels; at most {max_pixels} are read"
                )
            upright = _rgb(ImageOps.exif_transpose(image))
            return _fit(_without_margin(upright, options.margin_crop), options)
    except _DAMAGE as error:
        raise ImageUnreadable(str(error)) from error


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


def _rgb(image: Image.Image) -> Image.Image:
    """Pillow clips deeper grey values to 8 bits, which turns such images white: scale instead."""
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise ImageUnreadable("its pixels have 32 bits; store it with 8 or 16")
    return image.convert("RGB")
