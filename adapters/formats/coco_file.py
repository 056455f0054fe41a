"""A COCO file: how it is located, and the fields that are decoded."""

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
    printable,
    read_bytes,
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
    """An annotation; `bbox` is validated later, so that one bad box does not reject the file."""

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
    parents = [name for name in top.folders if name.lower() in {"annotations", *SPLITS, *TEST}]
    paths = [name for name in top.files if name.lower().endswith(".json")]
    for parent in parents:
        files = listing(folder, parent).files
        paths += [joined(parent, name) for name in files if name.lower().endswith(".json")]
    # The official annotations have captions and keypoints of the same images beside instances.
    instances = [path for path in paths if path.rpartition("/")[2].startswith("instances")]
    return instances or paths


def decoded(folder: Path, path: str, max_bytes: int) -> CocoFile:
    try:
        return msgspec.json.decode(read_bytes(folder, path, max_bytes), type=CocoFile)
    except RecursionError as error:
        raise Invalid(f"{printable(path)}: the JSON nests too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"{printable(path)}: this is no COCO file: {error}") from error


def labels_of(path: str, file: CocoFile) -> dict[int, str]:
    """The categories' labels by id, in the order of ids."""
    labels: dict[int, str] = {}
    names: set[str] = set()
    for category in sorted(file.categories, key=lambda category: category.id):
        where = f"{printable(path)}: category {category.id}"
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
    parent, _, name = path.rpartition("/")
    for word in re.split("[^a-z]+", name.lower()):
        if word in SPLITS or word in TEST:
            return split_name(word)
    return folder_split(parent)
