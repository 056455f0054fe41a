"""Small versions of images, of the pixels that training reads, as WebP."""

import io
from typing import NamedTuple

from adapters.images.decoding import decode, depends_on_depth, is_shown_alike

_QUALITY = 80


class Made(NamedTuple):
    """A small version; no bytes where browsers show the file itself alike."""

    data: bytes
    depends_on_depth: bool


def small(
    data: bytes, max_pixels: int, *, longest: int, lossless: bool, grey_bits: int | None
) -> Made:
    """The image with its longest side at most `longest` pixels.

    `lossless` is for pictures in place of the file, made only where browsers show that otherwise.
    Raises `Undecodable`.
    """
    depends = depends_on_depth(data, max_pixels)
    if lossless and is_shown_alike(data, max_pixels):
        return Made(b"", depends)
    smallest = None if lossless else 2 * longest
    image = decode(data, max_pixels, grey_bits=grey_bits, smallest=smallest)
    image.thumbnail((longest, longest))
    file = io.BytesIO()
    if lossless:
        image.save(file, "WEBP", lossless=True, quality=0, method=0)
    else:
        image.save(file, "WEBP", quality=_QUALITY, method=4)
    return Made(file.getvalue(), depends)
