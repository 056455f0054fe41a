"""Small versions of images, made once and stored, of the pixels that training reads."""

import io
import threading
from collections.abc import Callable
from typing import Literal

from PIL import Image

from adapters.blobs.blobs import PICTURE, BlobMissing, BlobStore, thumbnail_key
from adapters.images.decoding import Undecodable, decode, depends_on_depth, is_shown_alike
from adapters.uploads.image_files import ImageLimits
from domain.dataset.pixels import DECODER_RULE
from domain.errors import Invalid

Size = Literal[256, 2048]
"""The longest side in pixels."""

MEDIA_TYPE = "image/webp"
_QUALITY = 80
_LARGEST_PICTURE = 2048

_ANY_DEPTH = f"{DECODER_RULE}/*".encode()

# A decoded image may take half a gigabyte.
_decoding = threading.BoundedSemaphore(2)


def thumbnail(
    blobs: BlobStore, digest: str, size: Size, limits: ImageLimits, grey_bits: int | None
) -> bytes:
    """The stored thumbnail, or a new one. Raises `Invalid` if the image cannot be decoded."""

    def make(data: bytes) -> bytes:
        image = decode(data, limits.max_pixels, grey_bits=grey_bits, smallest=2 * size)
        return _webp(image, size, quality=_QUALITY, method=4)

    return _stored(blobs, digest, size, limits, grey_bits, make)


def picture(
    blobs: BlobStore, digest: str, limits: ImageLimits, grey_bits: int | None
) -> bytes | None:
    """The image as training reads it, as lossless WebP; None if browsers show the file itself so.

    Its longest side is at most 2048 pixels. Raises `Invalid` if the image cannot be decoded.
    """

    def make(data: bytes) -> bytes:
        if is_shown_alike(data, limits.max_pixels):
            return b""
        image = decode(data, limits.max_pixels, grey_bits=grey_bits)
        return _webp(image, _LARGEST_PICTURE, lossless=True, quality=0, method=0)

    return _stored(blobs, digest, PICTURE, limits, grey_bits, make) or None


def recipe(grey_bits: int | None) -> str:
    """What the pixels depend on besides the image's bytes."""
    return f"{DECODER_RULE}/{grey_bits or 'all'}"


def _stored(
    blobs: BlobStore,
    digest: str,
    size: int | str,
    limits: ImageLimits,
    grey_bits: int | None,
    make: Callable[[bytes], bytes],
) -> bytes:
    """What is stored, if it was made by this recipe; else it is made anew and stored with it."""
    key, wanted = thumbnail_key(digest, size), recipe(grey_bits).encode()
    made_by, _, made = (blobs.get_derived(key) or b"").partition(b"\n")
    if made_by in {wanted, _ANY_DEPTH}:
        return made
    data = blobs.get(digest)
    try:
        with _decoding:
            made = make(data)
            made_by = wanted if depends_on_depth(data, limits.max_pixels) else _ANY_DEPTH
    except Undecodable as error:
        raise Invalid(f"the image cannot be decoded: {error}") from error
    blobs.put_derived(key, made_by + b"\n" + made)
    if not blobs.has(digest):
        # The image and its stored thumbnails were erased in the meantime.
        blobs.forget_derived(key)
        raise BlobMissing(f"image {digest} was erased while it was made small")
    return made


def _webp(image: Image.Image, longest: int, **options: object) -> bytes:
    image.thumbnail((longest, longest))
    file = io.BytesIO()
    image.save(file, "WEBP", **options)
    return file.getvalue()
