"""A COCO file: where one is found, and what of it is decoded."""

import re
from pathlib import Path

import msgspec

from adapters.formats.sources import (
    SPLITS,
    TEST,
    Flaw,
    folder_split,
    joined,
    label,
    listing,
    open_plain,
    read_bytes,
    shown,
    split_name,
)
from domain.errors import Invalid

Id = int | str
HEAD = 1 << 16


class Category(msgspec.Struct, frozen=True):
    id: int
    name: str


class CocoImage(msgspec.Struct, frozen=True, gc=False):
    id: Id
    file_name: str
    width: int = 0
    height: int = 0


class CocoAnnotation(msgspec.Struct, frozen=True, gc=False):
    """`bbox` is checked box by box, so that one bad box is not a bad file."""

    image_id: Id
    category_id: int
    id: Id | None = None
    bbox: object = None
    iscrowd: object = 0


class CocoFile(msgspec.Struct, frozen=True):
    images: list[CocoImage]
    annotations: list[CocoAnnotation]
    categories: list[Category]


def is_coco(folder: Path) -> bool:
    for path in coco_paths(folder):
        if path.startswith("annotations/") or "instances" in path or "coco" in path:
            return True
        with open_plain(folder, path, 1 << 62) as file:
            head = file.read(HEAD)
        if re.search(rb'"(images|categories|licenses)"\s*:', head) and b'"views"' not in head:
            return True
    return False


def coco_paths(folder: Path) -> list[str]:
    top = listing(folder)
    places = [name for name in top.folders if name.lower() in {"annotations", *SPLITS, *TEST}]
    found = [name for name in top.files if name.lower().endswith(".json")]
    for place in places:
        files = listing(folder, place).files
        found += [joined(place, name) for name in files if name.lower().endswith(".json")]
    # The official annotations hold captions and keypoints of the same images beside instances.
    instances = [path for path in found if path.rpartition("/")[2].startswith("instances")]
    return instances or found


def decoded(folder: Path, path: str, max_bytes: int) -> CocoFile:
    try:
        return msgspec.json.decode(read_bytes(folder, path, max_bytes), type=CocoFile)
    except RecursionError as error:
        raise Invalid(f"{shown(path)}: the JSON nests too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{shown(path)}: this is no COCO file: {error}") from error


def labels_of(path: str, file: CocoFile) -> dict[int, str]:
    """The categories' labels by id, in the ids' order."""
    labels: dict[int, str] = {}
    names: set[str] = set()
    for category in sorted(file.categories, key=lambda category: category.id):
        where = f"{shown(path)}: category {category.id}"
        try:
            name = label(category.name)
        except Flaw as flaw:
            raise Invalid(f"{where}: {flaw}") from flaw
        if category.id in labels or name in names:
            raise Invalid(f"{where}: the id or the name {name!r} is given twice; remove one")
        labels[category.id] = name
        names.add(name)
    return labels


def split_of(path: str) -> str | None:
    place, _, name = path.rpartition("/")
    for word in re.split("[^a-z]+", name.lower()):
        if word in SPLITS or word in TEST:
            return split_name(word)
    return folder_split(place)
