"""The files of a source, which are untrusted: each must be a regular file, inside the source's
folder, and within the size limit."""

import codecs
import io
import os
import re
import stat
from collections.abc import Generator, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import msgspec

from domain.errors import Invalid
from domain.text import clean_name, is_text, refuse_unprintable

CLUTTER = {"thumbs.db", "desktop.ini", "__macosx"}
LONGEST_LINE = 10_000_000
DEEPEST = 30


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


def inside(path: str) -> str:
    """A path in a source, normalised. Raises `Flaw` unless it is inside the source's folder."""
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if path.startswith("/") or "\\" in path or re.match("[A-Za-z]:", path) or ".." in parts:
        raise Flaw(
            f"the path {path[:100]!r} leads outside; write it relative to the source's folder,"
            " with /"
        )
    if not parts or not is_text(path):
        raise Flaw(f"the path {path[:100]!r} is not printable; use the path of a file")
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


def open_plain(folder: Path, path: str, max_bytes: int) -> BinaryIO:
    """Open an annotation file. Raises `Invalid` for a link, a device or a file too large."""
    if not is_plain(folder, path):
        raise Invalid(f"{printable(path)}: file not found; links are not followed")
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


def storable(metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata unchanged. Raises `Flaw` for control characters other than line breaks
    and tabs."""
    try:
        for key, value in metadata.items():
            refuse_unprintable(key + value, "metadata")
    except Invalid as error:
        raise Flaw(error.detail) from error
    return dict(metadata)
