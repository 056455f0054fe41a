"""Pascal VOC's XML, one file per image (http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/).

The XML is in `Annotations/`, or beside the images if there is no such folder. Images are in the
folder that the XML names, `JPEGImages/` or `images/`. `ImageSets/Main/train.txt` and `val.txt` list
the splits; without them, folders named after splits do. Pixels count from 1 and are part of the
box, as in the devkit: it covers `xmin - 1` to `xmax`. VOC does not distinguish an image without
concept from one that is not annotated: an XML without objects is read as without concept, and no
XML is written for an image that is not annotated.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from xml.sax.saxutils import escape

from adapters.formats.annotations import kind_of, view_annotations
from adapters.formats.boxes import edges, image_sides, number, pixel_box, pixels
from adapters.formats.items import (
    Contents,
    DeclaredView,
    Images,
    Note,
    Problem,
    ReadOptions,
    SourceAnnotation,
    SourceImage,
    Written,
)
from adapters.formats.sources import (
    Flaw,
    find_image,
    folder_split,
    inside,
    is_plain,
    joined,
    label,
    lines,
    listing,
    printable,
    walk,
)
from adapters.formats.writing import Stems, boxes_of, detection_view, size_of, without_suffix
from adapters.formats.xml_tree import Element, parse
from domain.dataset.image import TRAIN, VALIDATION, Box
from domain.errors import Invalid
from domain.library.view import DETECTION

ROOT = "Annotations"
SETS = "ImageSets/Main"
SET_FILES = {TRAIN: f"{SETS}/train.txt", VALIDATION: f"{SETS}/val.txt"}
FORM = "Pascal VOC"


def looks_like(folder: Path) -> bool:
    return next(_paths(folder, _root(folder)), None) is not None


def read(folder: Path, options: ReadOptions) -> Contents:
    kind = kind_of(options, FORM, DETECTION)
    if not looks_like(folder):
        raise Invalid("there is no Pascal VOC; looked for *.xml in Annotations/ and by the images")
    view = DeclaredView(options.view, kind, ())
    return Contents((view,), _images(folder, options))


def _root(folder: Path) -> str:
    return ROOT if ROOT in listing(folder).folders else ""


def _paths(folder: Path, root: str) -> Iterator[str]:
    for current, entries in walk(folder, root):
        yield from (
            joined(current, name) for name in entries.files if name.lower().endswith(".xml")
        )


def _images(folder: Path, options: ReadOptions) -> Iterator[SourceImage | Problem | Note]:
    root = _root(folder)
    splits: dict[str, str] = {}
    yield from _sets(folder, root, splits, options)
    for path in _paths(folder, root):
        below = path.removeprefix(f"{ROOT}/")
        try:
            xml = parse(folder, path, options.max_bytes)
            size = image_sides(xml.text("size/width"), xml.text("size/height"))
            image = find_image(folder, xml.text("filename"), _parents(path, below, xml))
            # With image sets, a folder's name has no meaning.
            by_folder = None if splits else folder_split(path.rpartition("/")[0])
            split = splits.get(without_suffix(below), by_folder)
        except Flaw as flaw:
            yield Problem(printable(path), str(flaw))
            continue
        annotations, problems = [], []
        for entry in xml.all("object"):
            try:
                annotations.append(_labelled(entry, size, options))
            except Flaw as flaw:
                problems.append(Problem(f"{printable(path)}:{entry.line}", str(flaw)))
        if problems:
            yield from problems
            continue
        in_view = view_annotations(DETECTION, annotations, without_concept=not annotations)
        by_view = {} if in_view is None else {options.view: in_view}
        yield SourceImage(image, printable(path), split, {}, by_view, size)


def _sets(
    folder: Path, root: str, splits: dict[str, str], options: ReadOptions
) -> Iterator[Problem]:
    """Fill `splits` with the split of each stem in the image sets, and yield problems."""
    if is_plain(folder, test := f"{SETS}/test.txt"):
        reason = "Stemma knows train and validation; remove test.txt, or rename it to val.txt"
        yield Problem(test, reason)
    for split, path in SET_FILES.items():
        if not is_plain(folder, path):
            continue
        for count, line in enumerate(lines(folder, path, options.max_bytes), 1):
            stem = line.strip()
            if not stem:
                continue
            try:
                xml = f"{joined(root, inside(stem))}.xml"
                if not is_plain(folder, xml):
                    raise Flaw(f"there is no {xml}; add it, or remove the line")
                if splits.setdefault(stem, split) != split:
                    raise Flaw(f"{stem!r} is in both train and validation; choose one")
            except Flaw as flaw:
                yield Problem(f"{path}:{count}", str(flaw))


def _parents(path: str, below: str, xml: Element) -> list[str]:
    """The folders to look for the image in: the one that the XML names, then `JPEGImages/` and
    `images/` with the XML's subfolder, then the XML's own folder, then those without subfolder."""
    deeper = below.rpartition("/")[0]
    parents = [joined(name, deeper).rstrip("/") for name in ("JPEGImages", "images")]
    parents += [path.rpartition("/")[0], "JPEGImages", "images", ""]
    try:
        return [inside(xml.text("folder")), *parents]
    except Flaw:  # many tools write a folder of another machine, so this is only a hint
        return parents


def _labelled(entry: Element, size: tuple[int, int], options: ReadOptions) -> SourceAnnotation:
    name = label(entry.text("name"))
    left, top, right, bottom = (
        number(entry.text(f"bndbox/{edge}"), edge) for edge in ("xmin", "ymin", "xmax", "ymax")
    )
    return SourceAnnotation(
        name, pixel_box(left - 1, top - 1, right, bottom, *size, clip=options.clip)
    )


def write(views: Sequence[DeclaredView], images: Images) -> Iterator[Written]:
    """Write an XML for each annotated image, and the image sets of the splits in use."""
    view = detection_view(views, FORM)
    stems = Stems()
    for image in images():
        if view.name in image.annotations:
            stem = stems.take(_stem(image), image, FORM)
            yield Written(f"{ROOT}/{stem}.xml", iter([_xml(image, view).encode()]))
    for split, path in SET_FILES.items():
        listed = (
            image for image in images() if image.split == split and view.name in image.annotations
        )
        if (first := next(listed, None)) is not None:
            rest = (f"{_stem(image)}\n".encode() for image in listed)
            yield Written(path, chain([f"{_stem(first)}\n".encode()], rest))


def _stem(image: SourceImage) -> str:
    return without_suffix(image.path.removeprefix("images/").removeprefix("JPEGImages/"))


def _xml(image: SourceImage, view: DeclaredView) -> str:
    parent, _, name = image.path.rpartition("/")
    width, height = size_of(image)
    objects = "".join(_object(name, box, (width, height)) for name, box in boxes_of(image, view))
    return (
        f"<annotation>\n  <folder>{escape(parent)}</folder>\n"
        f"  <filename>{escape(name)}</filename>\n"
        f"  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>\n"
        f"  <segmented>0</segmented>\n{objects}</annotation>\n"
    )


def _object(name: str, box: Box, size: tuple[int, int]) -> str:
    width, height = size
    _, _, right, bottom = edges(box)
    return (
        f"  <object>\n    <name>{escape(name)}</name>\n    <pose>Unspecified</pose>"
        "<truncated>0</truncated><difficult>0</difficult>\n    <bndbox>"
        f"<xmin>{pixels(box.x, width, offset=1)}</xmin>"
        f"<ymin>{pixels(box.y, height, offset=1)}</ymin>"
        f"<xmax>{pixels(right, width)}</xmax><ymax>{pixels(bottom, height)}</ymax>"
        "</bndbox>\n  </object>\n"
    )
