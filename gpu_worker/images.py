"""One image: from the bytes of its blob to the square of pixels that a network takes."""

import io
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Pixels = NDArray[np.uint8]


# What Pillow's decoders have been seen to raise on damaged files.
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
    """A training image cannot be had or decoded; the message names it and says why."""


def decode(data: bytes, size: int, max_pixels: int) -> Pixels:
    """RGB pixels, shape (size, size, 3), turned upright by EXIF, resized with antialiasing.

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
            return np.asarray(upright.resize((size, size), Image.Resampling.BILINEAR))
    except _DAMAGE as error:
        raise ImageUnreadable(str(error)) from error


def _rgb(image: Image.Image) -> Image.Image:
    """Pillow clips deeper grey values to 8 bits, which turns such images white: scale instead."""
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode in ("I", "F"):
        raise ImageUnreadable("its pixels have 32 bits; store it with 8 or 16")
    return image.convert("RGB")
