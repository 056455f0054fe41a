"""Files that people upload as images: hostile until decoded within limits."""

import hashlib
import io
import warnings

import msgspec
from PIL import ExifTags, Image, UnidentifiedImageError

from domain.errors import Invalid

_ON_ITS_SIDE = {5, 6, 7, 8}
"""The values of EXIF's orientation that swap width and height (CIPA DC-008, tag 0x0112)."""

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")


class ImageLimits(msgspec.Struct, frozen=True):
    max_bytes: int
    max_pixels: int


class ImageFile(msgspec.Struct, frozen=True):
    """An accepted file; width and height are in pixels, of the image turned upright by EXIF."""

    name: str
    data: bytes
    width: int
    height: int

    @property
    def digest(self) -> str:
        """The sha256 of the bytes, as the blob store names them."""
        return hashlib.sha256(self.data).hexdigest()


def accept_image(name: str, data: bytes, limits: ImageLimits) -> ImageFile:
    """Check a file's name and content by decoding all of it.

    Raises `Invalid`, naming the file, for a name that leads elsewhere, a file that is empty, too
    large, truncated, of too many pixels or no image.
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
            # Pillow only warns of a bomb at its own limit; ours is checked before any decoding.
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
                # It has a checksum for every part, to its end; verifying ends with closing.
                image.verify()
                image = _open(data)
            with image:
                # What follows needs no pixel: JPEG decodes to an eighth, and still reads all.
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
    except Exception as error:  # a decoder meets hostile bytes: whatever it raises is a refusal
        raise Invalid(f"{name}: the image is damaged or truncated ({error})", field=name) from error
    return ImageFile(name, data, width, height)


def _open(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=FORMATS)


def check_file_name(name: str) -> None:
    if not name or len(name) > 255 or not name.isprintable():
        raise Invalid(
            f"{name[:60]!r}: a file name has 1 to 255 printable characters", field="file name"
        )
    if "/" in name or "\\" in name or name in {".", ".."}:
        raise Invalid(f"{name!r}: a file name has no folders in it; give the bare name", field=name)
