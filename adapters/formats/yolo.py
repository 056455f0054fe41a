"""YOLO's text files: one line per box, `class x-centre y-centre width height` in image shares.

The labels of `images/train/a.jpg` are in `labels/train/a.txt`, or else beside the image. Without a
file the image is not annotated; with an empty file it is without concept. Splits are the lists and
folders that `data.yaml` names (see `yolo_data`): an image that is in none is left out. A polygon
becomes the box around it, and a sixth number, the confidence, is left out; both are noted.
"""

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from adapters.formats.annotations import kind_of, view_annotations
from adapters.formats.boxes import DECIMALS, number, pixel_box
from adapters.formats.image_names import conversion_advice, is_image
from adapters.formats.items import (
    Contents,
    DeclaredView,
    Images,
    Item,
    LeftOut,
    Note,
    Problem,
    ReadOptions,
    Recognition,
    SourceAnnotation,
    SourceImage,
    ViewAnnotations,
    Written,
)
from adapters.formats.sources import (
    Flaw,
    Listing,
    inside,
    is_plain,
    joined,
    lines,
    printable,
    walk,
)
from adapters.formats.writing import (
    Stems,
    boxes_of,
    class_index,
    detection_view,
    without_suffix,
)
from adapters.formats.yolo_data import (
    LARGEST,
    LISTS,
    NAMED,
    PLAIN,
    Data,
    Splits,
    data_yaml,
    names_file,
    read_data,
)
from domain.dataset.image import Box
from domain.errors import Invalid
from domain.library.view import DETECTION

FORM = "YOLO"
POLYGON = "polygons are imported as the boxes around them"
CONFIDENCE = "the confidence of a box, its sixth number, is left out"
KEYPOINTS = "keypoints are left out"
UNNAMED = "images that are in none of the folders or lists of data.yaml are left out"


def recognise(folder: Path) -> Recognition:
    path = names_file(folder)
    if path is None:
        return Recognition(f"there is no {', '.join(NAMED)}, {' or '.join(PLAIN)}")
    try:
        read_data(folder, LARGEST)
    except Invalid as refusal:
        return Recognition(refusal.detail)
    if not path.endswith((".yaml", ".yml")) and not _has_labels(folder, path):
        return Recognition(f"{printable(path)} exists, but no label file of an image does")
    return Recognition(reads=("*.txt", "*.yaml", "*.yml", "*.names", "*.data"))


def _has_labels(folder: Path, names: str) -> bool:
    for current, entries in walk(folder):
        texts = {name for name in entries.files if name.endswith(".txt")}
        texts.discard(names.rpartition("/")[2])
        if texts and "labels" in current.split("/"):
            return True
        if any(f"{without_suffix(name)}.txt" in texts for name in filter(is_image, entries.files)):
            return True
    return False


def read(folder: Path, options: ReadOptions) -> Contents:
    kind = kind_of(options, FORM, DETECTION)
    data = read_data(folder, options.max_bytes)
    view = DeclaredView(options.view, kind, tuple(data.names.values()))
    return Contents((view,), _images(folder, data, options), has_lists=any(data.splits.values()))


def _images(folder: Path, data: Data, options: ReadOptions) -> Iterator[Item]:
    splits = Splits(folder, data)
    yield from splits.read_sources(options.max_bytes)
    for current, entries in walk(folder):
        for name in filter(is_image, entries.others):
            yield Problem(
                printable(joined(current, name)), "links are not followed; put the file here"
            )
        yield from _lone_labels(folder, current, entries)
        for name in filter(is_image, entries.files):
            path = joined(current, name)
            split = splits.of(path)
            if split is None and splits.are_complete:
                yield LeftOut(printable(path), UNNAMED, path)
            else:
                yield from _image(folder, path, split, data, options)


def _lone_labels(folder: Path, current: str, entries: Listing) -> Iterator[Problem]:
    """A problem for each file in a folder of labels that has no image."""
    parts = current.split("/")
    if "labels" not in parts:
        return
    image_folder = _swapped(parts, "labels", "images")
    image_stems = {without_suffix(name) for name in entries.files if is_image(name)}
    advice: dict[str, str | None] = {}
    if (folder / image_folder).is_dir():
        names = [entry.name for entry in (folder / image_folder).iterdir()]
        image_stems |= {without_suffix(name) for name in names if is_image(name)}
        advice = {without_suffix(name): conversion_advice(name) for name in names}
    for name in entries.files:
        stem = without_suffix(name)
        if name.endswith(".txt") and name != "classes.txt" and stem not in image_stems:
            where = printable(joined(current, name))
            reason = f"image {stem!r} not found in {printable(image_folder)}/; add it"
            yield Problem(where, advice.get(stem) or reason)


def _swapped(parts: Sequence[str], old: str, new: str) -> str:
    """The path with its last folder `old` replaced by `new`."""
    last = max(index for index, part in enumerate(parts) if part == old)
    return "/".join([*parts[:last], new, *parts[last + 1 :]])


def labels_path(image: str) -> str:
    """The path of an image's labels, by the rule of Ultralytics."""
    *parts, name = without_suffix(image).split("/")
    parent = _swapped(parts, "images", "labels") if "images" in parts else "/".join(parts)
    return f"{joined(parent, name)}.txt"


def _image(
    folder: Path, path: str, split: str | None, data: Data, options: ReadOptions
) -> Iterator[Item]:
    try:
        inside(path)
    except Flaw as flaw:
        yield Problem(printable(path), str(flaw), path)
        return
    by_view: dict[str, ViewAnnotations] = {}
    for labels in dict.fromkeys((labels_path(path), f"{without_suffix(path)}.txt")):
        if is_plain(folder, labels):
            annotations: list[SourceAnnotation] = []
            problems = 0
            for item in _boxes(folder, labels, path, data, options):
                if isinstance(item, SourceAnnotation):
                    annotations.append(item)
                else:
                    problems += isinstance(item, Problem)
                    yield item
            if problems:
                return
            in_view = view_annotations(DETECTION, annotations, without_concept=not annotations)
            by_view = {} if in_view is None else {options.view: in_view}
            break
    yield SourceImage(path, path, split, {}, by_view)


def _boxes(
    folder: Path, path: str, image: str, data: Data, options: ReadOptions
) -> Iterator[SourceAnnotation | Problem | Note]:
    for count, line in enumerate(lines(folder, path, options.max_bytes), 1):
        if fields := line.split():
            where = f"{path}:{count}"
            try:
                yield _labelled(fields, data, options.clip)
            except Flaw as flaw:
                yield Problem(where, str(flaw), image)
            else:
                if len(fields) > 5:
                    longer = KEYPOINTS if data.keypoints else POLYGON
                    yield Note(where, CONFIDENCE if len(fields) == 6 else longer)


def _labelled(fields: list[str], data: Data, clip: bool) -> SourceAnnotation:
    """The annotation of a line: `class x y width height [confidence]`, or `class x1 y1 x2 y2 …`."""
    name = _class_name(fields[0], data)
    numbers = [number(field, "a share") for field in fields[1:]]
    if len(numbers) in (4, 5) or (data.keypoints and len(numbers) > 5):
        x, y, width, height = numbers[:4]
        left, top, right, bottom = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    elif len(numbers) >= 6 and len(numbers) % 2 == 0:
        xs, ys = numbers[::2], numbers[1::2]
        if not all(map(math.isfinite, numbers)):
            raise Flaw("a point of the polygon is not finite; use finite numbers")
        left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
    else:
        raise Flaw(
            f"a line has 5 fields for a box, 6 with its confidence, or 7, 9, 11, ... for a polygon,"
            f" not {len(fields)}"
        )
    return SourceAnnotation(name, pixel_box(left, top, right, bottom, 1, 1, clip=clip))


def _class_name(field: str, data: Data) -> str:
    """The name of a class's number, which NumPy writes as `0.0`."""
    match = re.fullmatch(r"(\d{1,9})(\.0*)?", field)
    if match is None:
        raise Flaw(f"class {field[:60]!r} is not the number of a class; YOLO uses 0, 1, 2, ...")
    index = int(match[1])
    if index not in data.names:
        raise Flaw(f"class {index} has no name in {data.path}; add it or correct it")
    return data.names[index]


def write(views: Sequence[DeclaredView], images: Images) -> Iterator[Written]:
    """Write the labels of each annotated image, lists of the splits in use, and `data.yaml`."""
    view = detection_view(views, FORM)
    indexes = {label: index for index, label in enumerate(view.concepts)}
    stems = Stems(without_suffix(path) for path in LISTS.values())
    for image in images():
        stem = stems.take(without_suffix(labels_path(image.path)), image, FORM)
        if view.name in image.annotations:
            boxes = (
                _line(class_index(label, indexes, image), box)
                for label, box in boxes_of(image, view)
            )
            yield Written(f"{stem}.txt", boxes)
    used: list[str] = []
    for split, path in LISTS.items():
        if any(image.split == split for image in images()):
            used.append(split)
            # Ultralytics replaces the leading dot by the folder of the list.
            listed = (f"./{image.path}\n".encode() for image in images() if image.split == split)
            yield Written(path, listed)
    yield Written("data.yaml", iter([data_yaml(view.concepts, used)]))


def _line(index: int, box: Box) -> bytes:
    centre_x = round(box.x + box.width / 2, DECIMALS + 1)
    centre_y = round(box.y + box.height / 2, DECIMALS + 1)
    return f"{index} {centre_x} {centre_y} {box.width} {box.height}\n".encode()
