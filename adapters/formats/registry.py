"""The annotation formats by name."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from adapters.formats import (
    coco,
    coco_file,
    folders,
    studio,
    studio_file,
    video,
    voc,
    yolo,
)
from adapters.formats.csv import columns, table
from adapters.formats.items import (
    Contents,
    DeclaredView,
    Images,
    ReadOptions,
    Recognition,
    Written,
)
from adapters.formats.remainder import add_remainder, note_repeated_boxes, unread_data
from adapters.formats.splits import settle
from domain.errors import Invalid

Read = Callable[[Path, ReadOptions], Contents]
Write = Callable[[Sequence[DeclaredView], Images], Iterator[Written]]


class Format(msgspec.Struct, frozen=True):
    """`label` is its name on pages; `write` is None for a format that is only read;
    `recognised_by` is for messages. `reader` is called by `read`, which decides the splits. A file
    with one of the `suffixes` shows that its folder is a data set and not a class."""

    label: str
    recognise: Callable[[Path], Recognition]
    reader: Read
    write: Write | None
    recognised_by: str
    suffixes: frozenset[str] = frozenset()


FOLDERS = "folders"
FORMATS = {
    "coco": Format(
        "COCO JSON",
        coco_file.recognise,
        coco.read,
        coco.write,
        "*.json, also in annotations/",
        frozenset({".json"}),
    ),
    "voc": Format(
        "Pascal VOC XML",
        voc.recognise,
        voc.read,
        voc.write,
        "*.xml in Annotations/ or beside the images",
        frozenset({".xml"}),
    ),
    "yolo": Format(
        "YOLO txt",
        yolo.recognise,
        yolo.read,
        yolo.write,
        "data.yaml, classes.txt or *.names",
        frozenset({".yaml", ".yml", ".names"}),
    ),
    "csv": Format(
        "CSV",
        columns.recognise,
        table.read,
        table.write,
        "*.csv with a header",
        frozenset({".csv", ".tsv"}),
    ),
    "studio": Format(
        "Studio JSON lines",
        studio_file.recognise,
        studio.read,
        studio.write,
        "*.jsonl with a header",
        frozenset({".jsonl"}),
    ),
    "video": Format(
        "Video",
        video.recognise,
        video.read,
        None,
        "a file, *.mp4, *.mov, *.avi or *.webm",
    ),
    FOLDERS: Format(
        "folder per class", folders.recognise, folders.read, None, "images in a folder per class"
    ),
}
ANNOTATIONS = frozenset().union(*(form.suffixes for form in FORMATS.values()))
"""Endings of annotation files, in lower case."""


def read(name: str, folder: Path, options: ReadOptions) -> Contents:
    """The content of a source in a format.

    An image that no entry names is left out, and so is one for a split that Stemma lacks.
    """
    contents = FORMATS[name].reader(folder, options)
    items = note_repeated_boxes(settle(folder, contents, options.max_bytes))
    if name != FOLDERS:  # every image in a folder per class has its entry: its place
        items = add_remainder(folder, items)
    return msgspec.structs.replace(contents, images=items)


def detect(folder: Path) -> str:
    """The name of the folder's format, by the content of its files.

    A folder per class is only detected if no other format is. Raises `Invalid` with the reason why
    each format is refused, if none or several are recognised, or if data would be left unread.
    """
    recognised = {name: form.recognise(folder) for name, form in FORMATS.items()}
    matches = [name for name, found in recognised.items() if not found.refusal]
    if len(matches) > 1 and FOLDERS in matches:
        matches.remove(FOLDERS)
    if not matches:
        reasons = "; ".join(f"{name}: {found.refusal}" for name, found in recognised.items())
        raise Invalid(f"no annotation format was recognised: {reasons}", field="format")
    if len(matches) > 1:
        raise Invalid(
            f"the folder looks like {' and '.join(matches)}; name the format", field="format"
        )
    unread = unread_data(folder, recognised[matches[0]].reads)
    if unread is not None:
        raise _unread(unread, matches[0], recognised)
    return matches[0]


def _unread(path: str, match: str, recognised: dict[str, Recognition]) -> Invalid:
    name = path.rpartition("/")[2]
    reasons = [
        f"{form}: {found.refusal}" for form, found in recognised.items() if name in found.refusal
    ]
    why = f" ({'; '.join(reasons)})" if reasons else ""
    return Invalid(
        f"the folder looks like {match}, but {path} names images or has boxes, which would not be"
        f" read{why}; name the format, correct the file or remove it",
        field="format",
    )
