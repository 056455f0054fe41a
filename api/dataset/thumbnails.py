"""Small versions of images, made once and stored, of the pixels that training reads."""

import asyncio
import io
from functools import partial
from typing import Annotated, Literal

from litestar.params import QueryParameter
from PIL import Image

from adapters.dataset.thumbnails import make, stored
from adapters.images.crops import crop_edges
from adapters.images.decoders import Decoder
from api.backend import Backend
from api.dataset.erasure import unless_erased
from domain.errors import Invalid
from domain.training.messages import Sides

Size = Literal[256, 2048]
"""The longest side in pixels."""

MEDIA_TYPE = "image/webp"

LARGEST: Size = 2048

Crop = Annotated[
    str | None,
    QueryParameter(
        name="crop",
        description="Only this box of the image: left, top, width and height as shares of its"
        " sides, such as `0.1,0.2,0.3,0.4`",
    ),
]


async def made_small(
    backend: Backend, digest: str, size: int | str, grey_bits: int | None
) -> bytes:
    """The image with its longest side at most `size` pixels, or as training reads it (`PICTURE`).

    A picture is lossless, at most 2048 pixels long, and empty if browsers show the file itself
    alike. Made at the first request, once a decoder is free, and stored. Raises
    `Invalid` if the image cannot be decoded, `Gone` if it was erased.
    """
    made = await asyncio.to_thread(stored, backend.blobs, digest, size, grey_bits)
    if made is None:
        made = await backend.decoders.run(partial(_make, backend, digest, size, grey_bits))
    return made


def crop_of(text: str) -> Sides:
    """The box in a query. Raises `Invalid`."""
    try:
        x, y, width, height = (float(side) for side in text.split(","))
    except ValueError:
        x = y = width = height = -1.0
    if not (0 <= x < 1 and 0 <= y < 1 and 0 < width <= 1 and 0 < height <= 1):
        raise Invalid(
            "crop must be left, top, width and height as shares of the image's sides, such as"
            " 0.1,0.2,0.3,0.4",
            field="crop",
        )
    return x, y, width, height


def cut(data: bytes, crop: Sides, size: int) -> bytes:
    """A crop of a small version, its longest side at most `size` pixels, as WebP."""
    with Image.open(io.BytesIO(data)) as image:
        part = image.crop(crop_edges(image.size, crop))
    part.thumbnail((size, size))
    file = io.BytesIO()
    part.save(file, "WEBP", quality=90, method=4)
    return file.getvalue()


def _make(
    backend: Backend, digest: str, size: int | str, grey_bits: int | None, decoder: Decoder
) -> bytes:
    with unless_erased(backend.store, digest):
        return make(backend.blobs, digest, size, grey_bits, decoder)
