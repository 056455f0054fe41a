"""The image files of a source: recognised by their names, and found by the paths that it gives."""

import re
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Literal

from PIL import ExifTags, Image

from adapters.formats.sources import Flaw, inside, is_plain, joined
from adapters.images.decoding import ON_ITS_SIDE
from adapters.images.file_format import READABLE, SIGNATURE_BYTES, SUFFIXES, file_format
from adapters.shortage import shortage

NOT_READ = {
    ".heic": "HEIC",
    ".heif": "HEIC",
    ".jp2": "JPEG 2000",
    ".j2k": "JPEG 2000",
    ".jxl": "JPEG XL",
    ".svg": "SVG",
    ".psd": "PSD",
    ".dng": "raw",
    ".cr2": "raw",
    ".nef": "raw",
}
"""Endings of images in formats that are not read, unless they are among `SUFFIXES`."""


def is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def conversion_advice(name: str) -> str | None:
    """What to do about an image in a format that is not read; None for other files."""
    ending = PurePosixPath(name).suffix.lower()
    form = None if ending in SUFFIXES else NOT_READ.get(ending)
    return form and f"Stemma does not read {form} images; convert it to PNG or JPEG"


def is_image_by_content(path: Path) -> bool:
    """Whether a file begins as an image does, also as one of a format that is not read."""
    try:
        with path.open("rb") as file:
            return file_format(file.read(SIGNATURE_BYTES)) is not None
    except OSError as error:
        if shortage(error):
            raise
        return False


def find_image(folder: Path, path: str, parents: Sequence[str] = ("",)) -> str:
    """The path of an image, looked up in each folder of `parents`.

    The name may be in another Unicode normalisation than the file's, or lack its ending if only one
    image has it. Raises `Flaw` if there is none.
    """
    path = inside(path)
    for spelling in _spellings(path):
        for parent in parents:
            if is_plain(folder, joined(parent, spelling)):
                return joined(parent, spelling)
    if not is_image(path):
        for spelling in _spellings(path):
            for parent in parents:
                if (found := _with_ending(folder, joined(parent, spelling))) is not None:
                    return found
    tried = ", ".join(dict.fromkeys(parent or "the source's folder" for parent in parents))
    raise Flaw(
        f"there is no file {path!r} in {tried} (links are not followed); add it, or remove its"
        " annotations"
    )


def find_moved_image(folder: Path, path: str, parents: Sequence[str] = ("",)) -> str:
    """As `find_image`, for a path that may be absolute or of a bucket, as `gs://pets/images/a.png`:
    the folders that this source lacks are left out."""
    rest = written_path(path)
    if rest == path:
        return find_image(folder, path, parents)
    while rest:
        try:
            return find_image(folder, rest, parents)
        except Flaw:
            rest = rest.partition("/")[2]
    raise Flaw(f"there is no file in the source for {path[:100]!r}; add it, or remove the line")


def written_path(path: str) -> str:
    """A path without the bucket's scheme or the slash that it begins with."""
    scheme = re.match("[a-z0-9]+://", path)
    return path[scheme.end() :] if scheme else path.lstrip("/")


def find_in_one(folder: Path, path: str, parents: Sequence[str], otherwise: Flaw) -> str:
    """The path of an image that is in exactly one of the folders. Raises `otherwise`."""
    found = []
    for parent in parents:
        with suppress(Flaw):
            found.append(find_image(folder, path, [parent]))
    if len(found) != 1:
        raise otherwise
    return found[0]


def _spellings(path: str) -> Iterator[str]:
    """The path as it is, and in the normalisations of Linux (NFC) and macOS (NFD)."""
    forms: tuple[Literal["NFC", "NFD"], ...] = () if path.isascii() else ("NFC", "NFD")
    yield from dict.fromkeys((path, *(unicodedata.normalize(form, path) for form in forms)))


def _with_ending(folder: Path, path: str) -> str | None:
    found = [
        path + ending
        for suffix in SUFFIXES
        for ending in (suffix, suffix.upper())
        if is_plain(folder, path + ending)
    ]
    if len(found) > 1:
        raise Flaw(f"{path!r} has no extension, and {' and '.join(found)} both exist; name one")
    return found[0] if found else None


def image_size(folder: Path, path: str) -> tuple[int, int]:
    """Width and height of the upright image, from the file's header only."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(folder / path, formats=READABLE) as image:
                width, height = image.size
                turned = _is_on_its_side(image)
    except Exception as error:  # the bytes are untrusted: any error of a decoder is a flaw
        if shortage(error):
            raise
        raise Flaw(f"the image's size cannot be read ({error}); give width and height") from error
    return (height, width) if turned else (width, height)


def is_turned(path: Path) -> bool:
    """Whether EXIF turns the image of a file so that its sides are swapped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(path, formats=READABLE) as image:
            return _is_on_its_side(image)


def _is_on_its_side(image: Image.Image) -> bool:
    if image.format == "TIFF":  # Pillow turns it itself when it reads the header
        return False
    # PNG's own getexif decodes the whole image to look for EXIF at the end.
    return Image.Image.getexif(image).get(ExifTags.Base.Orientation) in ON_ITS_SIDE
