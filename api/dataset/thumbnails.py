"""Small versions of images, made once and stored, of the pixels that training reads."""

import asyncio
from functools import partial
from typing import Literal

from adapters.blobs.blobs import PICTURE, BlobMissing, BlobStore, thumbnail_key
from adapters.images.decoders import Decoder
from adapters.images.decoding import Undecodable
from api.backend import Backend
from api.dataset.erasure import unless_erased
from domain.dataset.pixels import DECODER_RULE
from domain.errors import Invalid

Size = Literal[256, 2048]
"""The longest side in pixels."""

MEDIA_TYPE = "image/webp"
_LARGEST_PICTURE = 2048

_ANY_DEPTH = f"{DECODER_RULE}/*".encode()


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


def recipe(grey_bits: int | None) -> str:
    """What the pixels depend on besides the image's bytes."""
    return f"{DECODER_RULE}/{grey_bits or 'all'}"


def stored(blobs: BlobStore, digest: str, size: int | str, grey_bits: int | None) -> bytes | None:
    """What is stored, if it was made by this recipe."""
    found = blobs.get_derived(thumbnail_key(digest, size)) or b""
    made_by, _, made = found.partition(b"\n")
    return made if made_by in {recipe(grey_bits).encode(), _ANY_DEPTH} else None


def make(
    blobs: BlobStore, digest: str, size: int | str, grey_bits: int | None, decoder: Decoder
) -> bytes:
    """Make it, unless it was made while this waited, and store it with its recipe."""
    if (found := stored(blobs, digest, size, grey_bits)) is not None:
        return found
    lossless = size == PICTURE
    longest = _LARGEST_PICTURE if isinstance(size, str) else size
    try:
        made = decoder.small(
            blobs.get(digest), longest=longest, lossless=lossless, grey_bits=grey_bits
        )
    except Undecodable as error:
        raise Invalid(f"the image cannot be decoded: {error}") from error
    made_by = recipe(grey_bits).encode() if made.depends_on_depth else _ANY_DEPTH
    key = thumbnail_key(digest, size)
    blobs.put_derived(key, made_by + b"\n" + made.data)
    if not blobs.has(digest):
        # The image and its stored thumbnails were erased in the meantime.
        blobs.forget_derived(key)
        raise BlobMissing(f"image {digest} was erased while it was made small")
    return made.data
