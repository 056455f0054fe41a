"""The files of a source, which are untrusted: each must be a regular file, inside the source's
folder, and within the size limit."""

import codecs
import io
import os
import re
import stat
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import msgspec
from PIL import ExifTags, Image

from adapters.images.file_format import READABLE, SIGNATURE_BYTES, SUFFIXES, file_format
from domain.dataset.image import TRAIN, VALIDATION
from domain.errors import Invalid
from domain.text import clean_name, is_text, refuse_unstorable

SPLITS = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
}
TEST = ("test", "testing")
_TEXT = (".txt", ".xml", ".json", ".jsonl", ".csv", ".yaml", ".yml", ".names", ".md")
"""Endings of files that are not looked into for an image: there may be one for each image."""
CLUTTER = {"thumbs.db", "desktop.ini", "__macosx"}
LONGEST_LINE = 10_000_000
DEEPEST = 30
ON_ITS_SIDE = {5, 6, 7, 8}
"""The values of EXIF's Orientation that swap width and height."""


class Flaw(Exception):
    """The reason why one image or line cannot be imported. The reader adds the location and goes
    on."""


class Listing(msgspec.Struct, frozen=True):
    """A folder's entries in order, without hidden files. `others` are links and devices."""

    folders: list[str]
    files: list[str]
    others: list[str]


def listing(folder: Path, path: str = "") -> Listing:
    contents = Listing([], [], [])
    with os.scandir(folder / path) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith(".") or entry.name.lower() in CLUTTER:
                continue
            if entry.is_dir(follow_symlinks=False):
                contents.folders.append(entry.name)
            elif entry.is_file(follow_symlinks=False):
                contents.files.append(entry.name)
            else:
                contents.others.append(entry.name)
    return contents


def walk(folder: Path, path: str = "") -> Iterator[tuple[str, Listing]]:
    """The folder at `path` and the folders in it, parents first, each with its entries."""
    waiting = [path]
    while waiting:
        current = waiting.pop()
        if current.count("/") >= DEEPEST:
            raise Invalid(f"{printable(current)}: folders nest deeper than {DEEPEST}; flatten them")
        entries = listing(folder, current)
        yield current, entries
        waiting.extend(joined(current, name) for name in reversed(entries.folders))


def joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def printable(path: str) -> str:
    """A path for a message, with unprintable characters escaped."""
    return path if is_text(path) else path.encode("unicode_escape").decode()


def is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def is_image_file(folder: Path, path: str) -> bool:
    """Whether a plain file is an image by its name's ending or, as in an upload, by its content.

    So is an image of a format that is not read, which is then refused with what to do.
    """
    name = path.lower()
    if name.endswith(SUFFIXES) or name.endswith(_TEXT):
        return name.endswith(SUFFIXES)
    try:
        with (folder / path).open("rb") as file:
            return file_format(file.read(SIGNATURE_BYTES)) is not None
    except OSError:
        return False


def inside(path: str) -> str:
    """A path in a source, normalised. Raises `Flaw` unless it is inside the source's folder."""
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if path.startswith("/") or "\\" in path or re.match("[A-Za-z]:", path) or ".." in parts:
        raise Flaw(
            f"the path {path[:100]!r} leads elsewhere; give it from the source's folder, with /"
        )
    if not parts or not is_text(path):
        raise Flaw(f"the path {path[:100]!r} has no printable name; give a file's path")
    if len(path) > 1000 or any(len(part.encode()) > 255 for part in parts):
        raise Flaw(f"the path {path[:100]!r}... is too long; a name has at most 255 bytes")
    return "/".join(parts)


def is_plain(folder: Path, path: str) -> bool:
    """Whether the path leads to a regular file without following a symbolic link."""
    above, _, _ = path.rpartition("/")
    if above and not _is_plain_folder(str(folder), above):
        return False
    return stat.S_ISREG(_mode(f"{folder}/{path}"))


@lru_cache(maxsize=1024)
def _is_plain_folder(folder: str, path: str) -> bool:
    """Whether the path is a folder without symbolic links. Cached: it is checked for each file."""
    above, _, _ = path.rpartition("/")
    return (not above or _is_plain_folder(folder, above)) and stat.S_ISDIR(
        _mode(f"{folder}/{path}")
    )


def _mode(path: str) -> int:
    """The file's mode, of the link itself for a link; 0 if there is no file."""
    try:
        return os.lstat(path).st_mode
    except (OSError, ValueError):
        return 0


def find_image(folder: Path, path: str, parents: Sequence[str] = ("",)) -> str:
    """The path of an image, looked up in each folder of `parents`. Raises `Flaw` if not found."""
    path = inside(path)
    for parent in parents:
        if is_plain(folder, joined(parent, path)):
            return joined(parent, path)
    tried = ", ".join(dict.fromkeys(parent or "the source's folder" for parent in parents))
    raise Flaw(
        f"there is no file {path!r} in {tried} (links are not followed); add it, or remove what"
        " is said of it"
    )


def image_size(folder: Path, path: str) -> tuple[int, int]:
    """Width and height of the upright image, from the file's header only."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(folder / path, formats=READABLE) as image:
                width, height = image.size
                if image.format == "TIFF":
                    return width, height
                # PNG's own getexif decodes the whole image to look for EXIF at the end.
                orientation = Image.Image.getexif(image).get(ExifTags.Base.Orientation)
    except Exception as error:  # the bytes are untrusted: any error of a decoder is a flaw
        raise Flaw(f"the image's size cannot be read ({error}); give width and height") from error
    return (height, width) if orientation in ON_ITS_SIDE else (width, height)


def open_plain(folder: Path, path: str, max_bytes: int) -> BinaryIO:
    """Open an annotation file. Raises `Invalid` for a link, a device or a file too large."""
    if not is_plain(folder, path):
        raise Invalid(f"{printable(path)}: there is no such plain file; links are not followed")
    file = (folder / path).open("rb")
    size = os.fstat(file.fileno()).st_size
    if size > max_bytes:
        file.close()
        raise Invalid(
            f"{printable(path)}: the file has {size:,} bytes; at most {max_bytes:,} are read, so"
            " divide it"
        )
    return file


def read_bytes(folder: Path, path: str, max_bytes: int) -> bytes:
    """The content of an annotation file, without a byte order mark."""
    with open_plain(folder, path, max_bytes) as file:
        return file.read().removeprefix(codecs.BOM_UTF8)


def lines(folder: Path, path: str, max_bytes: int) -> Generator[str, None, None]:
    """The lines of a text file with their line endings, without a byte order mark.

    Raises `Invalid` for a line that is not UTF-8 or too long: the file is not text.
    """
    raw = open_plain(folder, path, max_bytes)
    with io.TextIOWrapper(raw, "utf-8-sig", "surrogateescape", newline="") as file:
        count = 0
        while line := file.readline(LONGEST_LINE):
            count += 1
            if len(line) == LONGEST_LINE:
                raise Invalid(f"{printable(path)}:{count}: the line is too long; divide it")
            try:
                line.encode()
            except UnicodeEncodeError:
                raise Invalid(
                    f"{printable(path)}:{count}: this is not UTF-8; save the file as UTF-8"
                ) from None
            yield line


def label(text: str) -> str:
    """A concept's label, normalised as in the domain. Raises `Flaw`."""
    try:
        return clean_name(text, "label")
    except Invalid as error:
        raise Flaw(error.detail) from error


def split_name(text: str) -> str | None:
    """The split of a name; None for the empty name. Raises `Flaw` for an unknown name."""
    name = text.strip().lower()
    if name and name not in SPLITS:
        raise Flaw(
            f"split {text[:60]!r} is neither train nor validation; use one of them, or leave"
            " these images out"
        )
    return SPLITS.get(name)


def folder_split(path: str) -> str | None:
    """The split that a folder of the path is named after, such as `train` or `val2017`.

    Raises `Flaw` for a folder of test images.
    """
    for part in path.split("/"):
        name = part.lower().rstrip("0123456789")
        if name in SPLITS or name in TEST:
            return split_name(name)
    return None


def storable(metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata unchanged. Raises `Flaw` if the database cannot store it."""
    try:
        for key, value in metadata.items():
            refuse_unstorable(key + value, "metadata")
    except Invalid as error:
        raise Flaw(error.detail) from error
    return dict(metadata)
