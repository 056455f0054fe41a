"""Validation of uploaded images, which are untrusted, by decoding them within limits."""

import hashlib
import io
import warnings

import msgspec
from PIL import ExifTags, Image, UnidentifiedImageError

from domain.errors import Invalid
from domain.text import is_text

_ON_ITS_SIDE = {5, 6, 7, 8}
"""The values of EXIF's orientation that swap width and height (CIPA DC-008, tag 0x0112)."""

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")


class ImageLimits(msgspec.Struct, frozen=True):
    max_bytes: int
    max_pixels: int


class ImageFile(msgspec.Struct, frozen=True):
    """A valid image file; width and height in pixels, after its EXIF orientation is applied."""

    name: str
    data: bytes
    width: int
    height: int

    @property
    def digest(self) -> str:
        """The sha256 of the bytes, which is their key in the blob store."""
        return hashlib.sha256(self.data).hexdigest()


def accept_image(name: str, data: bytes, limits: ImageLimits) -> ImageFile:
    """Validate a file's name, and its content by decoding all of it.

    Raises `Invalid` with the file's name if the name has folders, or if the file is empty, too
    large, truncated, has too many pixels or is not an image.
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
        with warnings.catch_warnings():
            # Pillow warns at its own limit of pixels; `max_pixels` is checked before decoding.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = _open(data)
            width, height = image.size
            if width * height > limits.max_pixels:
                raise Invalid(
                    f"{name}: {width} by {height} pixels; at most {limits.max_pixels:,} are"
                    " accepted",
                    field=name,
                )
            if image.format == "PNG":
                # `verify` checks the checksum of every chunk, and closes the image.
                image.verify()
                image = _open(data)
            with image:
                # No pixel is used: decode a JPEG at an eighth of its size, which reads all bytes.
                image.draft("L", (width // 8, height // 8))
                image.load()
                if image.getexif().get(ExifTags.Base.Orientation) in _ON_ITS_SIDE:
                    width, height = height, width
    except Invalid:
        raise
    except UnidentifiedImageError as error:
        raise Invalid(
            f"{name}: this is no image in one of the formats {', '.join(FORMATS)}", field=name
        ) from error
    except Image.DecompressionBombError as error:
        raise Invalid(f"{name}: the image has too many pixels", field=name) from error
    except Exception as error:  # the bytes are untrusted: any error of a decoder rejects the file
        raise Invalid(f"{name}: the image is damaged or truncated ({error})", field=name) from error
    return ImageFile(name, data, width, height)


def _open(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=FORMATS)


def check_file_name(name: str) -> None:
    if not name or len(name) > 255 or not is_text(name):
        raise Invalid(
            f"{name[:60]!r}: a file name has 1 to 255 printable characters", field="file name"
        )
    if "/" in name or "\\" in name or name in {".", ".."}:
        raise Invalid(f"{name!r}: a file name has no folders in it; give the bare name", field=name)
