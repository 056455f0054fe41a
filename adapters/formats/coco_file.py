"""A COCO file: how it is located, and the fields that are decoded."""

import glob
from collections.abc import Collection
from pathlib import Path

import msgspec

from adapters.formats.items import Recognition
from adapters.formats.sources import Flaw, joined, label, listing, printable, read_bytes
from adapters.formats.splits import folder_split
from domain.errors import Invalid

Id = int | str
LARGEST_PROBED = 1_000_000_000
SIBLINGS = (
    "*captions*.json",
    "*keypoints*.json",
    "*panoptic*.json",
    "*stuff*.json",
    "*image_info*.json",
)
"""The official files beside those of instances, about the same images."""


class Category(msgspec.Struct, frozen=True, omit_defaults=True):
    id: int
    name: str
    supercategory: str | None = None


class CocoImage(msgspec.Struct, frozen=True, gc=False):
    """An image; without a width and a height, they are read from its file."""

    id: Id
    file_name: str
    width: int | None = None
    height: int | None = None


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


class _Keys(msgspec.Struct, frozen=True):
    """The keys of a COCO file. Their values are not decoded."""

    images: msgspec.Raw
    annotations: msgspec.Raw = msgspec.Raw()
    categories: msgspec.Raw = msgspec.Raw()


def recognise(folder: Path) -> Recognition:
    """A file of instances has lists of images, annotations and categories."""
    refusals = []
    paths = coco_paths(folder)
    for path in paths:
        try:
            keys = msgspec.json.decode(read_bytes(folder, path, LARGEST_PROBED), type=_Keys)
        except (Invalid, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            refusals.append(f"{printable(path)}: {error}")
            continue
        if not (bytes(keys.annotations) and bytes(keys.categories)):
            refusals.append(f"{printable(path)} has images, but no annotations with categories")
            continue
        return Recognition(reads=(*map(glob.escape, paths), *SIBLINGS))
    return Recognition("; ".join(refusals[:3]) or "no *.json found here or in annotations/")


def coco_paths(folder: Path) -> list[str]:
    """The JSON files at the top, in `annotations/` and in the folders of splits."""
    top = listing(folder)
    parents = [name for name in top.folders if name.lower() == "annotations" or folder_split(name)]
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
        raise Invalid(f"{printable(path)}: this is not a COCO file: {error}") from error


def labels_of(
    path: str, file: CocoFile, parents: Collection[tuple[int, str]] = ()
) -> dict[int, str]:
    """The categories' labels by id, in the order of ids, without `parents`."""
    labels: dict[int, str] = {}
    names: set[str] = set()
    for category in sorted(file.categories, key=lambda category: category.id):
        if (category.id, category.name) in parents:
            continue
        where = f"{printable(path)}: category {category.id}"
        try:
            name = label(category.name)
        except Flaw as flaw:
            raise Invalid(f"{where}: {flaw}") from flaw
        if category.id in labels or name in names:
            raise Invalid(f"{where}: the id or the name {name!r} is used twice; remove one")
        labels[category.id] = name
        names.add(name)
    return labels


def parents_of(files: Collection[CocoFile]) -> dict[tuple[int, str], None]:
    """Categories that are only parents of others, by id and name, in their order.

    Roboflow puts one before the others, named after the project: it is the `supercategory` of the
    others, and no annotation has it. A class may have the same name.
    """
    parents: dict[tuple[int, str], None] = {}
    for file in files:
        below: dict[str | None, set[int]] = {}
        for category in file.categories:
            below.setdefault(category.supercategory, set()).add(category.id)
        for category in file.categories:
            if below.get(category.name, set()) - {category.id}:
                parents[category.id, category.name] = None
    if parents:
        for file in files:
            names = {category.id: category.name for category in file.categories}
            for annotation in file.annotations:
                key = annotation.category_id
                parents.pop((key, names.get(key, "")), None)
    return parents
