"""YOLO's text files: a line a box, `class x-centre y-centre width height` in shares of the image.

The labels of `images/train/a.jpg` are in `labels/train/a.txt`, or else beside the image. No file
means that nobody looked; an empty one, that the image is without concept. Splits come from the
lists and folders that `data.yaml` names (see `yolo_data`), and without them from folders named
after splits. All images in the folder belong to the source.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from adapters.formats.annotations import answer, kind_of
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
    is_plain,
    joined,
    lines,
    shown,
    walk,
)
from adapters.formats.writing import (
    Stems,
    boxes_of,
    detection_view,
    place_of,
    without_suffix,
)
from adapters.formats.yolo_data import LISTS, Data, Splits, data_yaml, names_file, read_data
from domain.dataset.image import Box
from domain.library.view import DETECTION

FORM = "YOLO"
SLACK = 1e-5
"""Exporters write five or six decimals, so the edges of a sound box may err by this share."""


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
    for here, found in walk(folder):
        images = [name for name in found.files if is_image(name)]
        for name in filter(is_image, found.others):
            yield Problem(shown(joined(here, name)), "links are not followed; put the file here")
        yield from _lone_labels(folder, here, found)
        try:
            split = splits.of_folder(here) if images else None
        except Flaw as flaw:
            yield Problem(shown(here), str(flaw))
            continue
        for name in images:
            yield from _image(folder, joined(here, name), split, splits, data, options)


def _lone_labels(folder: Path, here: str, found: Listing) -> Iterator[Problem]:
    """A problem for each file in a folder of labels that has no image where one belongs."""
    parts = here.split("/")
    if "labels" not in parts:
        return
    place = _swapped(parts, "labels", "images")
    held = {without_suffix(name) for name in found.files if is_image(name)}
    if (folder / place).is_dir():
        held |= {without_suffix(entry.name) for entry in (folder / place).iterdir()}
    for name in found.files:
        stem = without_suffix(name)
        if name.endswith(".txt") and name != "classes.txt" and stem not in held:
            where = shown(joined(here, name))
            yield Problem(where, f"there is no image {stem!r} in {shown(place)}/; add it")


def _swapped(parts: Sequence[str], old: str, new: str) -> str:
    """The path with the last folder `old` as `new`."""
    last = max(place for place, part in enumerate(parts) if part == old)
    return "/".join([*parts[:last], new, *parts[last + 1 :]])


def labels_path(image: str) -> str:
    """Where the labels of an image are, by the rule of Ultralytics."""
    *parts, name = without_suffix(image).split("/")
    place = _swapped(parts, "images", "labels") if "images" in parts else "/".join(parts)
    return f"{joined(place, name)}.txt"


def _image(
    folder: Path, path: str, split: str | None, splits: Splits, data: Data, options: ReadOptions
) -> Iterator[SourceImage | Problem]:
    try:
        inside(path)
    except Flaw as flaw:
        yield Problem(shown(path), str(flaw))
        return
    answers: dict[str, ViewAnnotations] = {}
    for labels in dict.fromkeys((labels_path(path), f"{without_suffix(path)}.txt")):
        if is_plain(folder, labels):
            said: list[SourceAnnotation] = []
            problems = 0
            for item in _boxes(folder, labels, data, options):
                if isinstance(item, Problem):
                    problems += 1
                    yield item
                else:
                    said.append(item)
            if problems:
                return
            given = answer(DETECTION, said, without_concept=not said)
            answers = {} if given is None else {options.view: given}
            break
    yield SourceImage(path, path, splits.of_image(path, split), {}, answers)


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
    """The labels of each image with an answer, lists of the splits that occur, and `data.yaml`."""
    view = detection_view(views, FORM)
    places = {label: place for place, label in enumerate(view.concepts)}
    stems = Stems(without_suffix(path) for path in LISTS.values())
    for image in images():
        stem = stems.take(without_suffix(labels_path(image.path)), image, FORM)
        if view.name in image.annotations:
            boxes = (
                _line(place_of(label, places, image), box) for label, box in boxes_of(image, view)
            )
            yield Written(f"{stem}.txt", boxes)
    used: list[str] = []
    for split, path in LISTS.items():
        if any(image.split == split for image in images()):
            used.append(split)
            # Ultralytics takes the leading dot for the folder of the list.
            listed = (f"./{image.path}\n".encode() for image in images() if image.split == split)
            yield Written(path, listed)
    yield Written("data.yaml", iter([data_yaml(view.concepts, used)]))


def _line(place: int, box: Box) -> bytes:
    centre_x = round(box.x + box.width / 2, DECIMALS + 1)
    centre_y = round(box.y + box.height / 2, DECIMALS + 1)
    return f"{place} {centre_x} {centre_y} {box.width} {box.height}\n".encode()
