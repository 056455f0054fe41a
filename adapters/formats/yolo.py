"""YOLO's text files: one line per box, `class x-centre y-centre width height` in image shares.

The labels of `images/train/a.jpg` are in `labels/train/a.txt`, or else beside the image. Without a
file the image is not annotated; with an empty file it is without concept. Splits are the lists and
folders that `data.yaml` names (see `yolo_data`), otherwise folders named after splits. All images
in the folder belong to the source.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from adapters.formats.annotations import kind_of, view_annotations
from adapters.formats.boxes import DECIMALS, number, pixel_box
from adapters.formats.items import (
    Contents,
    DeclaredView,
    Images,
    Note,
    Problem,
    ReadOptions,
    SourceAnnotation,
    SourceImage,
    ViewAnnotations,
    Written,
)
from adapters.formats.sources import (
    Flaw,
    Listing,
    inside,
    is_image,
    is_image_file,
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
from adapters.formats.yolo_data import LISTS, Data, Splits, data_yaml, names_file, read_data
from domain.dataset.image import Box
from domain.library.view import DETECTION

FORM = "YOLO"
SLACK = 1e-5
"""The tolerance of a box's edges, as a share: exporters write only five or six decimals."""


def looks_like(folder: Path) -> bool:
    return names_file(folder) is not None


def read(folder: Path, options: ReadOptions) -> Contents:
    kind = kind_of(options, FORM, DETECTION)
    data = read_data(folder, options.max_bytes)
    view = DeclaredView(options.view, kind, tuple(data.names.values()))
    return Contents((view,), _images(folder, data, options))


def _images(
    folder: Path, data: Data, options: ReadOptions
) -> Iterator[SourceImage | Problem | Note]:
    splits = Splits(folder, data)
    yield from splits.read_sources(options.max_bytes)
    for current, entries in walk(folder):
        images = [name for name in entries.files if is_image_file(folder, joined(current, name))]
        for name in filter(is_image, entries.others):
            yield Problem(
                printable(joined(current, name)), "links are not followed; put the file here"
            )
        yield from _lone_labels(folder, current, entries)
        try:
            split = splits.of_folder(current) if images else None
        except Flaw as flaw:
            yield Problem(printable(current), str(flaw))
            continue
        for name in images:
            yield from _image(folder, joined(current, name), split, splits, data, options)


def _lone_labels(folder: Path, current: str, entries: Listing) -> Iterator[Problem]:
    """A problem for each file in a folder of labels that has no image."""
    parts = current.split("/")
    if "labels" not in parts:
        return
    image_folder = _swapped(parts, "labels", "images")
    image_stems = {without_suffix(name) for name in entries.files if is_image(name)}
    if (folder / image_folder).is_dir():
        image_stems |= {without_suffix(entry.name) for entry in (folder / image_folder).iterdir()}
    for name in entries.files:
        stem = without_suffix(name)
        if name.endswith(".txt") and name != "classes.txt" and stem not in image_stems:
            where = printable(joined(current, name))
            reason = f"there is no image {stem!r} in {printable(image_folder)}/; add it"
            yield Problem(where, reason)


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
    folder: Path, path: str, split: str | None, splits: Splits, data: Data, options: ReadOptions
) -> Iterator[SourceImage | Problem]:
    try:
        inside(path)
    except Flaw as flaw:
        yield Problem(printable(path), str(flaw))
        return
    by_view: dict[str, ViewAnnotations] = {}
    for labels in dict.fromkeys((labels_path(path), f"{without_suffix(path)}.txt")):
        if is_plain(folder, labels):
            annotations: list[SourceAnnotation] = []
            problems = 0
            for item in _boxes(folder, labels, data, options):
                if isinstance(item, Problem):
                    problems += 1
                    yield item
                else:
                    annotations.append(item)
            if problems:
                return
            in_view = view_annotations(DETECTION, annotations, without_concept=not annotations)
            by_view = {} if in_view is None else {options.view: in_view}
            break
    yield SourceImage(path, path, splits.of_image(path, split), {}, by_view)


def _boxes(
    folder: Path, path: str, data: Data, options: ReadOptions
) -> Iterator[SourceAnnotation | Problem]:
    for count, line in enumerate(lines(folder, path, options.max_bytes), 1):
        if fields := line.split():
            try:
                yield _labelled(fields, data, options.clip)
            except Flaw as flaw:
                yield Problem(f"{path}:{count}", str(flaw))


def _labelled(fields: list[str], data: Data, clip: bool) -> SourceAnnotation:
    if len(fields) != 5:
        raise Flaw(
            f"a box has 5 fields, not {len(fields)}; outlines and confidences are not read, so"
            " export boxes alone"
        )
    index = int(fields[0]) if fields[0].isdecimal() and len(fields[0]) < 10 else -1
    if index not in data.names:
        raise Flaw(f"class {fields[0][:60]!r} has no name in {data.path}; add it or correct it")
    x, y, width, height = (number(field, "a share") for field in fields[1:])
    left, top, right, bottom = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    box = pixel_box(left, top, right, bottom, 1, 1, clip=clip, slack=SLACK)
    return SourceAnnotation(data.names[index], box)


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
