"""COCO's instances as JSON (https://cocodataset.org/#format-data), with boxes only.

The files are `instances*.json`, or all JSON files if there are none, in `annotations/`, the
source's folder or a split's folder. `train` or `val` in the file's name, or in its folder's name,
is the split of its images. An image that a file lists without an annotation is as
`ReadOptions.negative` says; one with crowd regions only, which are left out, is not annotated. The
writer leaves out images that are not annotated.

A file is decoded as a whole into structs; segmentations are ignored. `bbox` is left, top, width
and height in pixels, from 0.
"""

from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from adapters.formats.annotations import kind_of, taken_as, view_annotations
from adapters.formats.boxes import DECIMALS, edges, image_sides, pixel_box, pixels, shortest
from adapters.formats.coco_file import (
    Category,
    CocoAnnotation,
    CocoFile,
    CocoImage,
    Id,
    coco_paths,
    decoded,
    labels_of,
    parents_of,
)
from adapters.formats.image_names import image_size
from adapters.formats.items import (
    Contents,
    DeclaredView,
    Images,
    Item,
    LeftOut,
    Note,
    Problem,
    ReadOptions,
    SourceAnnotation,
    SourceImage,
    Written,
)
from adapters.formats.moved_images import MovedImages
from adapters.formats.sources import Flaw, joined, printable
from adapters.formats.splits import absent, file_split, may_be_absent
from adapters.formats.writing import (
    boxes_of,
    chunked,
    class_index,
    detection_view,
    size_of,
    splits_of,
)
from domain.dataset.image import Box
from domain.errors import Invalid
from domain.library.view import DETECTION

CROWD = "crowd regions (iscrowd) are left out"
WITHOUT_ANNOTATIONS = (
    "images without annotations are imported as {}; the option `unlabelled` (`--unlabelled`)"
    " changes"
    " that"
)


def read(folder: Path, options: ReadOptions) -> Contents:
    kind = kind_of(options, "COCO", DETECTION)
    files = {path: decoded(folder, path, options.max_bytes) for path in coco_paths(folder)}
    if not files:
        raise Invalid("no COCO file found; looked for *.json here and in annotations/")
    parents = parents_of(files.values())
    concepts: dict[str, None] = {}
    for path, file in files.items():
        concepts.update(dict.fromkeys(labels_of(path, file, parents).values()))
    view = DeclaredView(options.view, kind, tuple(concepts))
    return Contents((view,), _images(folder, files, parents, options))


def _images(
    folder: Path,
    files: dict[str, CocoFile],
    parents: Collection[tuple[int, str]],
    options: ReadOptions,
) -> Iterator[Item]:
    first = next(iter(files))
    for key, name in parents:
        text = f"category {name!r} is only a parent of others, so it is not a concept"
        yield Note(f"{printable(first)}: category {key}", text)
    seen: set[str] = set()
    moved = MovedImages(folder)
    while files:
        path = next(iter(files))
        yield from _FileImages(folder, path, files[path], parents, seen, moved, options).read()
        del files[path]


class _FileImages:
    """Reader of the images in one COCO file."""

    def __init__(
        self,
        folder: Path,
        path: str,
        file: CocoFile,
        parents: Collection[tuple[int, str]],
        seen: set[str],
        moved: MovedImages,
        options: ReadOptions,
    ) -> None:
        self._folder, self._path, self._file = folder, path, file
        self._seen, self._moved, self._options = seen, moved, options
        self._split = file_split(path)
        self._labels = labels_of(path, file, parents)
        folder_path, _, name = path.rpartition("/")
        part = name.rpartition(".")[0].removeprefix("instances_")
        self._parents = [folder_path, "", part, f"images/{part}", "images", "data"]
        self._parents += [joined(folder_path, name) for name in ("images", "data")]

    def read(self) -> Iterator[Item]:
        grouped: dict[Id, list[CocoAnnotation]] = {}
        images: dict[Id, CocoImage] = {}
        for image in self._file.images:
            if images.setdefault(image.id, image) is not image:
                yield Problem(self._where(image), "the image's id is used twice; renumber one")
        yield from self._grouped(images, grouped)
        for image in images.values():
            yield from self._image(image, grouped.get(image.id, []))

    def _grouped(
        self, images: Container[Id], grouped: dict[Id, list[CocoAnnotation]]
    ) -> Iterator[Item]:
        ids: set[Id] = set()
        for annotation in self._file.annotations:
            if annotation.iscrowd:
                yield Note(self._of(annotation), CROWD)
            if annotation.id is not None and annotation.id in ids:
                yield Problem(self._of(annotation), "the id is used twice; renumber one")
            elif annotation.image_id not in images:
                reason = f"image {annotation.image_id!r} not found; correct image_id"
                yield Problem(self._of(annotation), reason)
            else:
                grouped.setdefault(annotation.image_id, []).append(annotation)
            if annotation.id is not None:
                ids.add(annotation.id)

    def _image(self, image: CocoImage, annotations: list[CocoAnnotation]) -> Iterator[Item]:
        path = None
        try:
            if (missing := self._missing(image)) is not None:
                yield missing
                return
            path = self._moved.find(image.file_name, self._parents, self._split)
            self._refuse_second(path)
            size = self._size(image, path)
        except Flaw as flaw:
            yield Problem(self._where(image), str(flaw), path)
            return
        yield from self._moved.notes(self._where(image))
        labelled, problems = [], []
        for annotation in annotations:
            try:
                if not annotation.iscrowd:
                    labelled.append(self._source_annotation(annotation, size))
            except Flaw as flaw:
                problems.append(Problem(self._of(annotation), str(flaw), path))
        if problems:
            yield from problems
            return
        if not annotations:
            yield Note(self._where(image), WITHOUT_ANNOTATIONS.format(taken_as(self._options)))
        negative = self._options.negative and not annotations
        in_view = view_annotations(DETECTION, labelled, without_concept=negative)
        by_view = {} if in_view is None else {self._options.view: in_view}
        yield SourceImage(path, self._where(image), self._split, {}, by_view, size)

    def _missing(self, image: CocoImage) -> LeftOut | None:
        """The image, if it is not there and its split is one whose images need not be."""
        if self._split is None or not may_be_absent(self._split):
            return None
        with suppress(Flaw):
            self._moved.find(image.file_name, self._parents, self._split)
            return None
        self._refuse_second(image.file_name)
        return absent(image.file_name, self._where(image), self._split)

    def _refuse_second(self, path: str) -> None:
        if path in self._seen:
            raise Flaw(f"{path!r} is listed twice; list it once, with all its annotations")
        self._seen.add(path)

    def _size(self, image: CocoImage, path: str) -> tuple[int, int]:
        if image.width is None and image.height is None:
            return image_size(self._folder, path)
        return image_sides(image.width, image.height)

    def _source_annotation(
        self, annotation: CocoAnnotation, size: tuple[int, int]
    ) -> SourceAnnotation:
        if annotation.category_id not in self._labels:
            raise Flaw(f"category {annotation.category_id} not found; correct category_id")
        try:
            x, y, width, height = msgspec.convert(
                annotation.bbox, tuple[float, float, float, float]
            )
        except msgspec.ValidationError as error:
            raise Flaw("bbox must be four numbers, [x, y, width, height]; correct it") from error
        box = pixel_box(x, y, x + width, y + height, *size, clip=self._options.clip)
        return SourceAnnotation(self._labels[annotation.category_id], box)

    def _where(self, image: CocoImage) -> str:
        return f"{printable(self._path)}: image {image.id}"

    def _of(self, annotation: CocoAnnotation) -> str:
        return f"{printable(self._path)}: annotation {annotation.id} of image {annotation.image_id}"


class _Written(CocoAnnotation, frozen=True, kw_only=True, gc=False):
    """An annotation with the additional fields that pycocotools needs."""

    area: float
    segmentation: tuple[()] = ()


def write(views: Sequence[DeclaredView], images: Images) -> Iterator[Written]:
    """Write `annotations/instances_<split>.json` for each split, and `instances.json` for images
    without one."""
    view = detection_view(views, "COCO")
    for split in splits_of(images) or [None]:
        name = "instances" if split is None else f"instances_{split}"
        yield Written(f"annotations/{name}.json", chunked(_pieces(view, images, split)))


def _pieces(view: DeclaredView, images: Images, split: str | None) -> Iterator[bytes]:
    ids = {label: number for number, label in enumerate(view.concepts, 1)}
    categories = [Category(number, label) for label, number in ids.items()]
    yield b'{"info":{"description":"exported by Stemma"},"licenses":[],\n"categories":'
    yield msgspec.json.encode(categories) + b',\n"images":['
    yield from _listed(entry for entry, _ in _entries(view, images, split))
    yield b'],\n"annotations":['
    yield from _listed(_annotations(view, images, split, ids))
    yield b"]}\n"


def _listed(entries: Iterable[msgspec.Struct]) -> Iterator[bytes]:
    for count, entry in enumerate(entries):
        yield (b",\n" if count else b"\n") + msgspec.json.encode(entry)


def _entries(
    view: DeclaredView, images: Images, split: str | None
) -> Iterator[tuple[CocoImage, SourceImage]]:
    """The split's annotated images. Ids number all images, so they differ between files."""
    for number, image in enumerate(images(), 1):
        if image.split == split and view.name in image.annotations:
            yield CocoImage(number, image.path, *size_of(image)), image


def _annotations(
    view: DeclaredView, images: Images, split: str | None, ids: dict[str, int]
) -> Iterator[CocoAnnotation]:
    number = 0
    for entry, image in _entries(view, images, split):
        for label, box in boxes_of(image, view):
            number += 1
            bbox = _bbox(box, *size_of(image))
            category = class_index(label, ids, image)
            yield _Written(entry.id, category, number, bbox, area=bbox[2] * bbox[3])


def _bbox(box: Box, width: int, height: int) -> tuple[float, float, float, float]:
    _, _, right, bottom = edges(box)
    x, y = pixels(box.x, width), pixels(box.y, height)
    return x, y, _length(x, right, width), _length(y, bottom, height)


def _length(start: float, edge: float, size: int) -> float:
    """The shortest length in pixels that reads back as a box up to the edge."""
    return shortest(
        edge * size - start, lambda length: round((start + length) / size, DECIMALS) == edge
    )
