"""Thumbnails of images, made once and stored; upright, and in a format that all browsers show."""

import io
import threading
import warnings
from typing import Literal

import numpy
from PIL import Image, ImageOps

from adapters.blobs.blobs import BlobMissing, BlobStore, thumbnail_key
from adapters.uploads.image_files import FORMATS, ImageLimits
from domain.errors import Invalid

Size = Literal[256, 2048]
"""The longest side in pixels: for a grid, and for annotation where a browser lacks the format."""

MEDIA_TYPE = "image/webp"
_QUALITY = 80

# A decoded image may take half a gigabyte.
_decoding = threading.BoundedSemaphore(2)


def thumbnail(blobs: BlobStore, digest: str, size: Size, limits: ImageLimits) -> bytes:
    """The stored thumbnail, or a new one. Raises `Invalid` if the image cannot be decoded."""
    key = thumbnail_key(digest, size)
    stored = blobs.get_derived(key)
    if stored is not None:
        return stored
    data = blobs.get(digest)
    with _decoding:
        made = _made(data, size, limits)
    blobs.put_derived(key, made)
    if not blobs.has(digest):
        # The image and its stored thumbnails were erased in the meantime.
        blobs.forget_derived(key)
        raise BlobMissing(f"image {digest} was erased while it was made small")
    return made


def _made(data: bytes, size: int, limits: ImageLimits) -> bytes:
    try:
        with warnings.catch_warnings():
            # Pillow only warns of a bomb at its own limit; ours is checked before any decoding.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                width, height = image.size
                if width * height > limits.max_pixels:
                    raise Invalid(f"{width} by {height} pixels are more than are decoded")
                image.draft(None, (2 * size, 2 * size))
                small = _in_colours(image)
                small.thumbnail((size, size))
                upright = ImageOps.exif_transpose(small)
                file = io.BytesIO()
                upright.save(file, "WEBP", quality=_QUALITY, method=4)
                return file.getvalue()
    except Invalid:
        raise
    except Exception as error:  # a decoder meets hostile bytes: whatever it raises is a refusal
        raise Invalid(f"the image cannot be decoded: {error}") from error


def _in_colours(image: Image.Image) -> Image.Image:
    """The image in 8 bits a channel; deeper images are scaled so that their maximum is white."""
    if image.mode[0] in "IF":
        deep = numpy.asarray(image.convert("F"))
        scale = 255 / max(float(deep.max()), 1.0)
        return Image.fromarray((deep.clip(0) * scale).astype(numpy.uint8))
    has_alpha = image.has_transparency_data
    return image.convert("RGBA" if has_alpha else "RGB")
