"""Validation of uploaded images, which are untrusted, by decoding them within limits."""

import hashlib
from collections.abc import Callable

import msgspec

from adapters.images.decoding import Inspected, Undecodable, inspect
from domain.errors import Invalid
from domain.text import is_text


class ImageLimits(msgspec.Struct, frozen=True):
    max_bytes: int
    max_pixels: int


class ImageFile(msgspec.Struct, frozen=True):
    """A valid image file; width and height in pixels, after its EXIF orientation is applied.

    `highest_grey` is the highest value of 16-bit grey; None for other images.
    """

    name: str
    data: bytes
    width: int
    height: int
    highest_grey: int | None = None

    @property
    def digest(self) -> str:
        """The sha256 of the bytes, which is their key in the blob store."""
        return hashlib.sha256(self.data).hexdigest()


def accept_image(
    name: str,
    data: bytes,
    limits: ImageLimits,
    inspecting: Callable[[bytes], Inspected] | None = None,
) -> ImageFile:
    """Validate a file's name, and its content by decoding all of it.

    This is the only gate: what it takes can be trained on. `inspecting` does so elsewhere than in
    this process. Raises `Invalid` with the file's name if
    the name has folders, or if the file is empty, too large, truncated, has too many pixels or is
    not an image of a kind that is read.
    """
    check_file_name(name)
    if not data:
        raise Invalid(f"{name}: the file is empty", field=name)
    if len(data) > limits.max_bytes:
        raise Invalid(
            f"{name}: the file is too large; at most {limits.max_bytes:,} bytes are accepted",
            field=name,
        )
    try:
        found = inspecting(data) if inspecting else inspect(data, limits.max_pixels)
    except Undecodable as error:
        raise Invalid(f"{name}: {error}", field=name) from error
    return ImageFile(name, data, found.width, found.height, found.highest_grey)


def check_file_name(name: str) -> None:
    if not name or len(name) > 255 or not is_text(name):
        raise Invalid(
            f"{name[:60]!r}: a file name has 1 to 255 printable characters", field="file name"
        )
    if "/" in name or "\\" in name or name in {".", ".."}:
        raise Invalid(
            f"{name!r}: a file name must not contain folders; use only the name", field=name
        )
