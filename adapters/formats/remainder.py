"""What a source holds besides the entries of its format: images without one, and data unread."""

import fnmatch
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from adapters.formats.image_names import conversion_advice, is_image
from adapters.formats.items import Item, LeftOut, Note, SourceImage
from adapters.formats.sources import joined, open_plain, printable, walk
from adapters.formats.splits import list_paths
from adapters.images.file_format import SUFFIXES
from adapters.uploads.disk_set import DiskSet

UNNAMED = "images that are in no annotation file are left out"
REPEATED = "the same box with the same label appears twice"
DATA = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".xml", ".txt")
HEAD = 1 << 16
MOST_PROBED = 500
_YOLO_LINE = re.compile(rb"\d+(\.0*)?( -?\d*\.\d+){4,}\s")
_WORD = rb"[^\s\"'<>,;|:/\\]+"
_IMAGE_NAME = re.compile(
    b"(%s)(?:%s)\\b" % (_WORD, b"|".join(re.escape(ending.encode()) for ending in SUFFIXES)), re.I
)


def add_remainder(folder: Path, items: Iterator[Item]) -> Iterator[Item]:
    """The items, and then each image of the folder that none of them is about."""
    named = DiskSet()
    for item in items:
        if not isinstance(item, Note) and item.path is not None:
            named.add(os.fsencode(item.path))
        yield item
    for current, entries in walk(folder):
        for path in (joined(current, name) for name in entries.files):
            reason = UNNAMED if is_image(path) else conversion_advice(path)
            if reason and named.add(os.fsencode(path)) is None:
                yield LeftOut(printable(path), reason, path)


def note_repeated_boxes(items: Iterator[Item]) -> Iterator[Item]:
    """The items, with a note for each image that has the same box with the same label twice."""
    for item in items:
        if isinstance(item, SourceImage):
            for given in item.annotations.values():
                count = len(given.annotations)
                if count > 1 and len(set(given.annotations)) < count:
                    yield Note(item.where, REPEATED)
        yield item


def unread_data(folder: Path, reads: Sequence[str]) -> str | None:
    """A file that names images of the folder or has boxes, and that no pattern of `reads` covers.

    Looks at the beginning of up to `MOST_PROBED` files.
    """
    covered = [*reads, *map(_literal, list_paths(folder))]
    probed: list[str] = []
    stems: set[bytes] = set()
    for current, entries in walk(folder):
        for name in entries.files:
            path = joined(current, name)
            if is_image(name):
                if len(stems) < 100_000:
                    # The pattern of names ends at spaces.
                    stems.add(os.fsencode(name.rpartition(".")[0].split(" ")[-1]))
            elif (
                name.lower().endswith(DATA)
                and len(probed) < MOST_PROBED
                and not any(fnmatch.fnmatchcase(path, pattern) for pattern in covered)
            ):
                probed.append(path)
    return next((path for path in probed if _names_images(folder, path, stems)), None)


def _names_images(folder: Path, path: str, stems: set[bytes]) -> bool:
    """Whether a text has boxes, or names images: by their file names, or in a table by those
    without ending."""
    with open_plain(folder, path, 1 << 62) as file:
        head = file.read(HEAD)
    if _YOLO_LINE.match(head) or any(match[1] in stems for match in _IMAGE_NAME.finditer(head)):
        return True
    if not path.lower().endswith((".csv", ".tsv")):
        return False
    named = stems.intersection(re.findall(_WORD, head))
    return len(named) > max(1, head.count(b"\n") / 2)


def _literal(path: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", path)
