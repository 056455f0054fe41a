"""The one decoder of images: from a file's bytes to upright RGB pixels of 8 bits.

Thumbnails, the annotation page, training, evaluation and prediction all read images by it. Its rule
is docs/decisions/0035. A change of the pixels that it gives raises `DECODER_RULE`.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from adapters.images.file_format import READABLE, file_format
from adapters.shortage import shortage
from domain.dataset.pixels import BACKGROUND, FULL_DEPTH

_DEEP_GREY = {"I;16", "I;16L", "I;16B", "I;16N"}
_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV"}

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image upright, by its EXIF orientation (CIPA DC-008, tag 0x0112)."""
ON_ITS_SIDE = {5, 6, 7, 8}
"""The orientations that swap width and height."""

_TAGGED = {"JPEG", "PNG", "WEBP"}
_ORIENTING = {"exif", "Raw profile type exif", "XML:com.adobe.xmp", "Raw profile type xmp", "xmp"}
"""Where Pillow finds the orientation of an image in one of these formats, among its `info`."""

_SHOWN_BY_BROWSERS = {"JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP"}
"""Pillow's names; MPO is a JPEG with further pictures behind the first."""

_DARKEST = 16
"""16-bit colours whose upper eight bits are all below this use 12 bits at most."""

_STRIP_PIXELS = 1 << 20
# Now, and not at the first image: Pillow takes a decoder that cannot be loaded, for want of a file
# descriptor, for one that is not installed, and every file of its format for damaged.
Image.preinit()
for _plugin in ("AvifImagePlugin", "MpoImagePlugin", "TiffImagePlugin", "WebPImagePlugin"):
    import_module(f"PIL.{_plugin}")

# Images with too many pixels are refused here, so Pillow's own warning would say nothing more.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class Undecodable(Exception):
    """A file cannot be read as an image; the message says why, and what to do."""


class Inspected(NamedTuple):
    """A readable image: its upright size, and the highest value of 16-bit grey (None for others)"""

    width: int
    height: int
    highest_grey: int | None


def decode(
    data: bytes, max_pixels: int, *, grey_bits: int | None = None, smallest: int | None = None
) -> Image.Image:
    """The image as upright RGB of 8 bits a channel.

    `grey_bits` is how many bits the project's 16-bit grey values use. With `smallest` a JPEG may be
    decoded at a fraction of its size, of which no side is smaller. Raises `Undecodable`.
    """
    with _opened(data, max_pixels) as image:
        if smallest is not None:
            image.draft(None, (smallest, smallest))
        image.load()
        # A transparent image turned first would take a third more memory.
        turn = _TURNS.get(_orientation(image) or 1)
        upright = _rgb(image, grey_bits or FULL_DEPTH)
        return upright if turn is None else upright.transpose(turn)


def inspect(data: bytes, max_pixels: int) -> Inspected:
    """Check that `decode` reads the image, by loading all of it. Raises `Undecodable`."""
    with _opened(data, max_pixels) as image:
        if image.format != "PNG":
            return _inspected(image)
        # `verify` checks the checksum of every chunk, and spends the image.
        image.verify()
    with _opened(data, max_pixels) as image:
        return _inspected(image)


def _inspected(image: ImageFile) -> Inspected:
    width, height = image.size
    is_deep = _has_deep_colours(image)
    # No pixel is used: decode a JPEG at an eighth of its size, which reads all bytes.
    image.draft("L", (max(1, width // 8), max(1, height // 8)))
    image.load()
    if is_deep and _is_nearly_black(image):
        raise Undecodable(
            "its colours have 16 bits, but use 12 at most: only the upper 8 bits are read, and"
            " they are almost black; save it with 8 bits per channel"
        )
    if _orientation(image) in ON_ITS_SIDE:
        width, height = height, width
    highest = int(np.asarray(image).max()) if image.mode in _DEEP_GREY else None
    return Inspected(width, height, highest)


def depends_on_depth(data: bytes, max_pixels: int) -> bool:
    """Whether `decode` gives other pixels for other `grey_bits`. Raises `Undecodable`."""
    with _opened(data, max_pixels) as image:
        return image.mode in _DEEP_GREY


def is_shown_alike(data: bytes, max_pixels: int) -> bool:
    """Whether browsers show these bytes as `decode` reads them. Raises `Undecodable`.

    Browsers apply colour profiles and gamma, put the page's colour behind what is transparent, play
    animations, and turn some formats only.
    """
    with _opened(data, max_pixels) as image:
        if image.format not in _SHOWN_BY_BROWSERS or image.mode not in {"1", "L", "P", "RGB"}:
            return False
        if image.info.keys() & {"icc_profile", "gamma", "chromaticity"}:
            return False
        if image.has_transparency_data or _has_deep_colours(image):
            return False
        if image.format in {"JPEG", "MPO"}:
            return True
        return not getattr(image, "is_animated", False) and _orientation(image) in {None, 1}


@contextmanager
def _opened(data: bytes, max_pixels: int) -> Iterator[ImageFile]:
    """The open image, not decoded yet; errors in opening and using it become `Undecodable`,
    but for those of this machine."""
    Image.MAX_IMAGE_PIXELS = max_pixels
    try:
        with Image.open(io.BytesIO(data), formats=READABLE) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise Undecodable(
                    f"{width} by {height} pixels; at most {max_pixels:,} are accepted"
                )
            _check_mode(image)
            yield image
    except (Undecodable, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise Undecodable(_why_unidentified(data)) from error
    except Image.DecompressionBombError as error:
        raise Undecodable("the image has too many pixels") from error
    except Exception as error:  # the bytes are untrusted: any error of a decoder rejects the file
        if shortage(error):
            raise
        raise Undecodable(f"the image is damaged or truncated ({error})") from error


def _why_unidentified(data: bytes) -> str:
    found = file_format(data)
    if found is None:
        return f"this is not an image in one of the formats {', '.join(READABLE)}"
    if found in READABLE:
        return f"the image is damaged or truncated (it begins as {found})"
    return f"this is {found}, which is not supported; convert it to JPEG, PNG, WebP or AVIF"


def _check_mode(image: Image.Image) -> None:
    if image.mode in {"I", "F"}:
        raise Undecodable(
            "its pixels are signed, floating-point or 32-bit numbers, whose range is unknown;"
            " save it with 8 or 16 bits"
        )
    if image.mode not in _MODES | _DEEP_GREY:
        raise Undecodable(f"its colour mode {image.mode} is not supported; use RGB")


def _orientation(image: Image.Image) -> int | None:
    """The orientation that is still to be applied; Pillow turns a TIFF itself as it loads it."""
    if image.format in _TAGGED:
        if image.format == "PNG":
            image.load()  # what is behind the pixels is read with them
        if not image.info.keys() & _ORIENTING:
            return None  # to find nothing takes Pillow as long as to decode a small image
    found: int | None = image.getexif().get(ExifTags.Base.Orientation)
    return found


def _rgb(image: Image.Image, grey_bits: int) -> Image.Image:
    if image.mode in _DEEP_GREY:
        return _shallow(image, grey_bits).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    # In strips, because the steps in between take four times as much memory as the result.
    opaque, (width, height) = Image.new("RGB", image.size), image.size
    rows = max(1, _STRIP_PIXELS // max(1, width))
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height))).convert("RGBA")
        background = Image.new("RGBA", strip.size, BACKGROUND)
        opaque.paste(Image.alpha_composite(background, strip).convert("RGB"), (0, top))
    return opaque


def _shallow(image: Image.Image, bits: int) -> Image.Image:
    """16-bit grey in 8 bits: the upper eight of those in use. What is above them is white."""
    values = np.asarray(image)
    grey = np.minimum(values >> (bits - 8), 255).astype(np.uint8)
    key = image.info.get("transparency")
    if key is not None:
        grey[values == key] = BACKGROUND[0]
    return Image.fromarray(grey)


def _has_deep_colours(image: ImageFile) -> bool:
    """Whether colours, or grey with alpha, have 16 bits, of which Pillow gives the upper eight."""
    if image.mode in _DEEP_GREY:
        return False
    return any(raw in str(tile.args) for tile in image.tile for raw in (";16B", ";16L"))


def _is_nearly_black(image: Image.Image) -> bool:
    return int(np.asarray(image.convert("RGB")).max()) < _DARKEST
