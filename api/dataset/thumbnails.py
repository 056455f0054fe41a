"""Small versions of images, made once and stored, of the pixels that training reads."""

import asyncio
from functools import partial
from typing import Literal

from adapters.dataset.thumbnails import make, stored
from adapters.images.decoders import Decoder
from api.backend import Backend
from api.dataset.erasure import unless_erased

Size = Literal[256, 2048]
"""The longest side in pixels."""

MEDIA_TYPE = "image/webp"


async def made_small(
    backend: Backend, digest: str, size: int | str, grey_bits: int | None
) -> bytes:
    """The image with its longest side at most `size` pixels, or as training reads it (`PICTURE`).

    A picture is lossless, at most 2048 pixels long, and empty if browsers show the file itself
    alike. Made while it is asked for the first time, once a decoder is free, and stored. Raises
    `Invalid` if the image cannot be decoded, `Gone` if it was erased.
    """
    made = await asyncio.to_thread(stored, backend.blobs, digest, size, grey_bits)
    if made is None:
        made = await backend.decoders.run(partial(_make, backend, digest, size, grey_bits))
    return made


def _make(
    backend: Backend, digest: str, size: int | str, grey_bits: int | None, decoder: Decoder
) -> bytes:
    with unless_erased(backend.store, digest):
        return make(backend.blobs, digest, size, grey_bits, decoder)
