"""From an upright image to the pixels that a network takes: cut, resized with antialiasing, padded.

Training, evaluation and prediction cut and resize by it. The Python package has a copy of this
module, which scripts/generate_client makes.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from adapters.images.crops import Sides, crop_edges

Pixels = NDArray[np.uint8]


class Fitted(NamedTuple):
    """RGB pixels, shape (height, width, 3). The image fills `width` and `height` of them."""

    pixels: Pixels
    width: int
    height: int


class Fitting(NamedTuple):
    """How images are cut and resized. `crops` says whether boxes are cut out of them."""

    width: int
    height: int
    keeps_aspect_ratio: bool
    margin_crop: float
    crops: bool


def fit(image: Image.Image, fitting: Fitting, crop: Sides | None = None) -> Fitted:
    """The pixels of an image, or of a crop of it: left, top, width and height in shares."""
    cut = _cut(image, fitting, crop)
    width, height = fitting.width, fitting.height
    if not fitting.keeps_aspect_ratio:
        return Fitted(np.asarray(_resized(cut, width, height)), width, height)
    scale = width / max(cut.size)
    fit_width = max(1, round(cut.width * scale))
    fit_height = max(1, round(cut.height * scale))
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:fit_height, :fit_width] = np.asarray(_resized(cut, fit_width, fit_height))
    return Fitted(pixels, fit_width, fit_height)


def _cut(image: Image.Image, fitting: Fitting, crop: Sides | None) -> Image.Image:
    if crop is not None:
        return image.crop(crop_edges(image.size, crop, fitting.margin_crop))
    return image if fitting.crops else _without_margin(image, fitting.margin_crop)


def _without_margin(image: Image.Image, share: float) -> Image.Image:
    cut = round(min(image.size) * share / 2)
    return ImageOps.crop(image, cut) if cut else image


def _resized(image: Image.Image, width: int, height: int) -> Image.Image:
    return image.resize((width, height), Image.Resampling.BILINEAR)
