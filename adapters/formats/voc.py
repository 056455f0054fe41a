"""Pascal VOC's XML, one file per image (http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/).

The XML is in `Annotations/`, also of `VOCdevkit/VOC2007`, or beside the images if there is no such
folder. Images are beside it in the folder that the XML names, `JPEGImages/` or `images/`.
`ImageSets/Main/train.txt`, `val.txt` and `test.txt` list the splits; without them, folders named
after splits do. In the devkit pixels count from 1 and are part of the box: it covers `xmin - 1` to
`xmax`. Other tools count edges from 0 (`voc_origin`). VOC does not distinguish an image without
concept from one that is not annotated: an XML without objects is as `ReadOptions.negative` says,
and no XML is written for an image that is not annotated.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from xml.sax.saxutils import escape

from adapters.formats.annotations import kind_of, taken_as, view_annotations
from adapters.formats.boxes import edges, image_sides, number, pixel_box, pixels
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
    Recognition,
    SourceAnnotation,
    SourceImage,
    Written,
)
from adapters.formats.moved_images import MovedImages
from adapters.formats.sources import (
    Flaw,
    inside,
    is_plain,
    joined,
    label,
    lines,
    listing,
    printable,
    walk,
)
from adapters.formats.splits import UNDECIDED, is_known, may_be_absent, path_split
from adapters.formats.voc_origin import guess_origin
from adapters.formats.writing import Stems, boxes_of, detection_view, size_of, without_suffix
from adapters.formats.xml_tree import LARGEST, Element, parse
from domain.dataset.image import TEST, TRAIN, VALIDATION, Box
from domain.errors import Invalid
from domain.library.view import DETECTION

ROOT = "Annotations"
SETS = "ImageSets/Main"
SET_FILES = {TRAIN: f"{SETS}/train.txt", VALIDATION: f"{SETS}/val.txt", TEST: f"{SETS}/test.txt"}
SET_FOLDERS = (SETS, "ImageSets")
IMAGE_FOLDERS = ("JPEGImages", "images", "data")
FORM = "Pascal VOC"
QUOTED = re.compile('".+"')
NO_XML = "there is no *.xml with <annotation> in Annotations/ or beside the images"
WITHOUT_OBJECTS = (
    "images without objects are imported as {}; the option `unlabelled` (`--unlabelled`) changes"
    " that"
)
UNLISTED = "images that are in no list of ImageSets are left out"


def recognise(folder: Path) -> Recognition:
    refusal = NO_XML
    for root in _roots(folder):
        for path in _paths(folder, root):
            try:
                parse(folder, path, LARGEST)
            except (Flaw, Invalid) as flaw:
                refusal = f"{printable(path)}: {flaw}"
                continue
            return Recognition(reads=("*.xml", "*ImageSets/*", "*labelmap.txt"))
    return Recognition(refusal)


def read(folder: Path, options: ReadOptions) -> Contents:
    kind = kind_of(options, FORM, DETECTION)
    roots = _roots(folder)
    if next((path for root in roots for path in _paths(folder, root)), None) is None:
        raise Invalid(
            "no Pascal VOC file found; looked for *.xml in Annotations/ and beside the images"
        )
    view = DeclaredView(options.view, kind, ())
    return Contents((view,), _images(folder, roots, options))


def _roots(folder: Path) -> list[str]:
    """The folders with `Annotations/`, such as `VOC2007`; the source's own folder if there is
    none."""
    roots = []
    for current, entries in walk(folder):
        if ROOT in entries.folders:
            roots.append(current)
        if current.count("/") >= 2:  # VOCdevkit/VOC2007/Annotations is the deepest
            entries.folders.clear()
    return roots or [""]


def _top(folder: Path, root: str) -> str:
    """The folder with the XML of a root."""
    annotations = joined(root, ROOT)
    return annotations if (folder / annotations).is_dir() else root


def _paths(folder: Path, root: str) -> Iterator[str]:
    for current, entries in walk(folder, _top(folder, root)):
        yield from (
            joined(current, name) for name in entries.files if name.lower().endswith(".xml")
        )


def _images(folder: Path, roots: Sequence[str], options: ReadOptions) -> Iterator[Item]:
    origin = options.origin
    if origin is None:
        origin, why = guess_origin(folder, [p for root in roots for p in _paths(folder, root)])
        yield Note(why.where, why.text)
    moved = MovedImages(folder)
    for root in roots:
        yield from _root_images(folder, root, origin, moved, options)


def _root_images(
    folder: Path, root: str, origin: int, moved: MovedImages, options: ReadOptions
) -> Iterator[Item]:
    splits: dict[str, str] = {}
    yield from _sets(folder, root, splits, options)
    are_complete = not all(map(may_be_absent, splits.values()))
    top = _top(folder, root)
    for path in _paths(folder, root):
        below = path.removeprefix(f"{top}/")
        image = None
        try:
            xml = parse(folder, path, options.max_bytes)
            image = moved.find(xml.text("filename"), _parents(path, root, below, xml))
            # With image sets for training or validation, a folder's name has no meaning.
            split = splits.get(without_suffix(below))
            if split is None and are_complete:
                yield LeftOut(printable(path), UNLISTED, image)
                continue
            if split is None:
                split = path_split(path.rpartition("/")[0])
            size = _size(xml) or image_size(folder, image)
        except Flaw as flaw:
            yield Problem(printable(path), str(flaw), image)
            continue
        yield from moved.notes(printable(path))
        annotations, problems = [], []
        for entry in xml.all("object"):
            try:
                annotations.append(_labelled(entry, size, origin, options))
            except Flaw as flaw:
                problems.append(Problem(f"{printable(path)}:{entry.line}", str(flaw), image))
        if problems:
            yield from problems
            continue
        if not annotations:
            yield Note(printable(path), WITHOUT_OBJECTS.format(taken_as(options)))
        negative = options.negative and not annotations
        in_view = view_annotations(DETECTION, annotations, without_concept=negative)
        by_view = {} if in_view is None else {options.view: in_view}
        yield SourceImage(image, printable(path), split, {}, by_view, size)


def _size(xml: Element) -> tuple[int, int] | None:
    """The size that the XML declares, or None: some tools write none, or zeros."""
    sizes = xml.all("size")
    texts = [sizes[0].text(side) for side in ("width", "height")] if len(sizes) == 1 else []
    return None if not any(text.strip("0") for text in texts) else image_sides(*texts)


def _sets(
    folder: Path, root: str, splits: dict[str, str], options: ReadOptions
) -> Iterator[Problem]:
    """Fill `splits` with the split of each stem in the image sets, and yield problems.

    `trainval.txt` and CVAT's `default.txt` name no split; the lists of a class, such as
    `cat_train.txt`, are of a part of the images that the others list.
    """
    lists: dict[str, str] = {}
    for parent in (joined(root, name) for name in SET_FOLDERS):
        if not lists and (folder / parent).is_dir():
            for name in listing(folder, parent).files:
                stem = name.removesuffix(".txt").lower()
                if name.endswith(".txt") and is_known(stem):
                    lists[joined(parent, name)] = stem
    # Those that name no split come last, since they repeat the others.
    for path, split in sorted(lists.items(), key=lambda item: item[1] in UNDECIDED):
        for count, line in enumerate(lines(folder, path, options.max_bytes), 1):
            written = line.strip()
            if not written:
                continue
            try:
                # CVAT puts a name with blanks in quotes; others may have quotes in the name.
                stems = [written, written[1:-1]] if QUOTED.fullmatch(written) else [written]
                paths = [f"{joined(_top(folder, root), inside(stem))}.xml" for stem in stems]
                there = [n for n, path in enumerate(paths) if is_plain(folder, path)]
                if not there:
                    if may_be_absent(split):
                        continue
                    raise Flaw(f"{paths[-1]} not found; add it, or remove the line")
                stem = stems[there[0]]
                if splits.setdefault(stem, split) != split and split not in UNDECIDED:
                    raise Flaw(f"{stem!r} is in both {splits[stem]} and {split}; choose one")
            except Flaw as flaw:
                yield Problem(f"{path}:{count}", str(flaw))


def _parents(path: str, root: str, below: str, xml: Element) -> list[str]:
    """The folders to look for the image in: the one that the XML names, then `IMAGE_FOLDERS` with
    the XML's subfolder, then the XML's own folder, then those without subfolder.
    All of them are beside `Annotations/`, and then at the top of the source."""
    deeper = below.rpartition("/")[0]
    parents = [joined(name, deeper).rstrip("/") for name in IMAGE_FOLDERS]
    parents = [joined(root, name) for name in parents] + [path.rpartition("/")[0]]
    parents += [joined(root, name) for name in (*IMAGE_FOLDERS, "")]
    parents = [name.rstrip("/") for name in parents] + [*IMAGE_FOLDERS, ""]
    try:
        named = inside(xml.text("folder"))
    except Flaw:  # many tools write a folder of another machine, so this is only a hint
        return parents
    return [joined(root, named), named, *parents]


def _labelled(
    entry: Element, size: tuple[int, int], origin: int, options: ReadOptions
) -> SourceAnnotation:
    name = label(entry.text("name"))
    left, top, right, bottom = (
        number(entry.text(f"bndbox/{edge}"), edge) for edge in ("xmin", "ymin", "xmax", "ymax")
    )
    return SourceAnnotation(
        name, pixel_box(left - origin, top - origin, right, bottom, *size, clip=options.clip)
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
