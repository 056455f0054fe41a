"""The annotation formats by name."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from adapters.formats import (
    coco,
    coco_file,
    csv_columns,
    csv_table,
    folders,
    studio,
    studio_file,
    voc,
    yolo,
)
from adapters.formats.items import Contents, DeclaredView, Images, ReadOptions, Written
from domain.errors import Invalid

Read = Callable[[Path, ReadOptions], Contents]
Write = Callable[[Sequence[DeclaredView], Images], Iterator[Written]]


class Format(msgspec.Struct, frozen=True):
    """`write` is None for a format that is only read; `recognised_by` is for messages."""

    looks_like: Callable[[Path], bool]
    read: Read
    write: Write | None
    recognised_by: str


FOLDERS = "folders"
FORMATS = {
    "coco": Format(coco_file.is_coco, coco.read, coco.write, "*.json, also in annotations/"),
    "voc": Format(voc.looks_like, voc.read, voc.write, "*.xml in Annotations/ or by the images"),
    "yolo": Format(yolo.looks_like, yolo.read, yolo.write, "data.yaml, classes.txt or *.names"),
    "csv": Format(csv_columns.is_csv, csv_table.read, csv_table.write, "*.csv with a header"),
    "studio": Format(studio_file.is_studio, studio.read, studio.write, "*.jsonl with a header"),
    FOLDERS: Format(folders.looks_like, folders.read, None, "images in a folder per class"),
}


def detect(folder: Path) -> str:
    """The name of the folder's format.

    A folder per class is only detected if no other format is. Raises `Invalid` if no format or
    several formats are recognised.
    """
    matches = [
        name for name, form in FORMATS.items() if name != FOLDERS and form.looks_like(folder)
    ]
    if not matches and FORMATS[FOLDERS].looks_like(folder):
        matches = [FOLDERS]
    if not matches:
        expected = "; ".join(f"{name}: {form.recognised_by}" for name, form in FORMATS.items())
        raise Invalid(f"no annotation format is recognised; looked for {expected}", field="format")
    if len(matches) > 1:
        raise Invalid(
            f"the folder looks like {' and '.join(matches)}; name the format", field="format"
        )
    return matches[0]
