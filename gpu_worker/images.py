"""One image: from the bytes of its blob to the pixels that a network takes."""

from collections.abc import Sequence

from adapters.images.decoding import Undecodable
from adapters.images.decoding import decode as decode_rgb
from adapters.images.fitting import Fitted, Fitting, Pixels, fit
from domain.training.architectures import KEEP_ASPECT_RATIO
from domain.training.messages import Sides
from domain.training.options import TrainingOptions

__all__ = ["Fitted", "ImageUnreadable", "Pixels", "decode", "decode_items"]


class ImageUnreadable(Exception):
    """A training image is missing or cannot be decoded; the message names it and says why."""


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
    width, height = options.input_size
    keeps_aspect_ratio = options.resizer == KEEP_ASPECT_RATIO
    fitting = Fitting(width, height, keeps_aspect_ratio, options.margin_crop, options.crops)
    return [fit(image, fitting, crop) for crop in crops]
