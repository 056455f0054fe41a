"""The perceptual hash of an image (pHash): nearly the same for copies that are resized, saved again
in another format or quality, slightly brightened or slightly cropped."""

import numpy as np
from PIL import Image

from adapters.images.decoding import decode, depends_on_depth, inspect
from domain.dataset.pixels import grey_depth

BITS = 64
_SIDE, _KEPT = 32, 8
_FEWEST_GREYS = 4
"""The range of grey values below which an image is flat: noise would make its hash."""

_COSINES = np.cos(
    np.pi * np.arange(_KEPT)[:, None] * (2 * np.arange(_SIDE)[None, :] + 1) / (2 * _SIDE)
)


def perceptual_hash(data: bytes, max_pixels: int) -> int | None:
    """64 bits of an image's lowest frequencies; None for a flat image, which is like any other.

    The image is made grey with 32 by 32 pixels. Of its discrete cosine transform (DCT-II), each of
    the 8 by 8 lowest coefficients is a bit: whether it is above their median (Zauner 2010, and
    `phash` of the package imagehash). Raises `Undecodable`.
    """
    bits = None
    if depends_on_depth(data, max_pixels):
        bits = grey_depth(inspect(data, max_pixels).highest_grey or 0)
    image = decode(data, max_pixels, grey_bits=bits, smallest=2 * _SIDE).convert("L")
    grey = np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), np.float64)
    if np.ptp(grey) < _FEWEST_GREYS:
        return None
    lowest = (_COSINES @ grey @ _COSINES.T).ravel()
    return int.from_bytes(np.packbits(lowest > np.median(lowest)).tobytes(), "big")
