"""CSV tables (RFC 4180) with one row per annotation; an image's rows are adjacent.

Columns: `file` and `label`; optional are `split`, `width` and `height` of the image,
`without_concept` (true for an image without a concept) and `meta:<key>`. Boxes are `xmin`, `ymin`,
`xmax`, `ymax` in pixels from 0, as in TensorFlow's object detection API, or `x`, `y`,
`box_width`, `box_height` in shares of the image. A row without a label has no annotation. An empty
cell of `meta:<key>` means that the image does not have the key. `columns` has the headers and
tables of other tools.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, groupby
from pathlib import Path

import msgspec

from adapters.formats.annotations import kind_of, taken_as, view_annotations
from adapters.formats.boxes import image_sides, number, pixel_box
from adapters.formats.csv.columns import (
    ABOUT_IMAGE,
    COLUMNS,
    IGNORED,
    IN_SHARES,
    META,
    SHARES,
    SPANS,
    VIA,
    Header,
    find_tables,
    image_folders,
)
from adapters.formats.csv.via import via_cells
from adapters.formats.image_names import find_in_one, find_moved_image, image_size, written_path
from adapters.formats.items import (
    Contents,
    DeclaredView,
    Images,
    Item,
    Note,
    Problem,
    ReadOptions,
    SourceAnnotation,
    SourceImage,
    ViewAnnotations,
    Written,
)
from adapters.formats.moved_images import MovedImages
from adapters.formats.sources import Flaw, label, lines, listing, printable, storable
from adapters.formats.splits import SPLITS, absent, file_split, may_be_absent
from adapters.formats.writing import chunked, only_view
from adapters.uploads.disk_set import DiskSet
from domain.errors import Invalid
from domain.library.view import CLASSIFICATION, DETECTION, TAGGING

WITHOUT_ANNOTATIONS = (
    "images without boxes are imported as {}; the option `unlabelled` (`--unlabelled`) changes that"
)
TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}


class _Row(msgspec.Struct, frozen=True):
    """A row's cells by column. A row with a flaw has no cells and belongs to the image before."""

    line: int
    file: str
    cells: dict[str, str] = {}
    flaw: str = ""


def read(folder: Path, options: ReadOptions) -> Contents:
    tables = find_tables(folder, options.max_bytes)
    boxes = {bool(header.boxes) for header in tables}
    if len(boxes) > 1:
        raise Invalid("some tables have boxes and some do not; import them separately")
    kinds = (DETECTION,) if boxes == {True} else (CLASSIFICATION, TAGGING)
    kind = kind_of(options, "this CSV table", *kinds)
    seen, moved = DiskSet(), MovedImages(folder)
    readers = [_Table(folder, header, kind, options, seen, moved) for header in tables]
    items = chain.from_iterable(reader.images() for reader in readers)
    return Contents((DeclaredView(options.view, kind, ()),), items)


class _Table:
    """Reader of the rows of one file."""

    def __init__(
        self,
        folder: Path,
        header: Header,
        kind: str,
        options: ReadOptions,
        seen: DiskSet,
        moved: MovedImages,
    ) -> None:
        self._folder, self._header, self._path = folder, header, header.path
        self._kind, self._options, self._seen, self._moved = kind, options, seen, moved
        self._names = header.names
        self._same = [n for n in self._names if n in ABOUT_IMAGE or n.startswith(META)]
        self._sized: tuple[str, tuple[int, int]] = ("", (0, 0))
        self._split = file_split(header.path)
        self._parents = image_folders(folder, header.path)

    def images(self) -> Iterator[Item]:
        for name in self._header.ignored:
            text = f"column {name[:60]!r} is left out; call it {META}{name[:60]} for metadata"
            yield Note(f"{printable(self._path)}:1", text)
        for _, rows in groupby(self._rows(), lambda row: row.file):
            yield from self._image(rows)

    def _rows(self) -> Iterator[_Row]:
        text = lines(self._folder, self._path, self._options.max_bytes)
        rows = csv.reader(text, strict=True, delimiter=self._header.delimiter)
        if self._header.has_header:
            next(rows)
        file = ""
        while True:
            line = rows.line_num + 1
            flaw = ""
            try:
                cells = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                cells, flaw = ["?"], f"the row cannot be read: {error}; correct its quotes"
            if not cells:
                continue
            row = dict(zip(self._names, cells, strict=False))
            flaw = flaw or self._flaw(cells, row)
            if flaw:
                yield _Row(line, file, flaw=flaw)
                continue
            file = row["file"]
            yield _Row(line, file, row)

    def _flaw(self, cells: Sequence[str], row: Mapping[str, str]) -> str:
        if len(cells) != len(self._names):
            return f"the row has {len(cells)} cells and the header {len(self._names)}"
        if any("\0" in cell for cell in cells):
            return "the row has a NUL; remove it"
        for name in self._header.ignored:
            if row[IGNORED + name].strip().lower() in SPLITS:
                return f"column {name[:60]!r} looks like a split; name it split, or remove it"
        return ""

    def _image(self, rows: Iterable[_Row]) -> Iterator[Item]:
        head: _Row | None = None
        image: SourceImage | None = None
        annotations: list[SourceAnnotation] = []
        without_concept = flawed = False
        for row in rows:
            try:
                if row.flaw:
                    raise Flaw(row.flaw)
                if head is None:
                    head = row
                    if (split := self._left_out(row)) is not None:
                        yield absent(row.file, f"{printable(self._path)}:{row.line}", split)
                        return
                    image = self._about_image(row)
                    yield from self._moved.notes(image.where)
                elif any(row.cells[name] != head.cells[name] for name in self._same):
                    raise Flaw("split, size or metadata differ from the image's first row")
                if image is not None:
                    annotations += self._labelled(image, row)
                    without_concept |= _truth(row.cells.get("without_concept", ""))
            except Flaw as flaw:
                flawed = True
                where = f"{printable(self._path)}:{row.line}"
                yield Problem(where, str(flaw), image.path if image else None)
        if flawed or image is None:
            return
        if self._header.lists_negatives and not annotations:
            yield Note(image.where, WITHOUT_ANNOTATIONS.format(taken_as(self._options)))
            without_concept = self._options.negative
        try:
            in_view = view_annotations(self._kind, annotations, without_concept)
        except Flaw as flaw:
            yield Problem(image.where, str(flaw), image.path)
            return
        by_view = {} if in_view is None else {self._options.view: in_view}
        yield msgspec.structs.replace(image, annotations=by_view)

    def _split_of(self, row: _Row) -> str | None:
        return row.cells.get("split", "").strip() or self._split

    def _left_out(self, row: _Row) -> str | None:
        """The split that keeps an image out, whose file is often not there."""
        split = self._split_of(row)
        if split is None or not may_be_absent(split):
            return None
        with suppress(Flaw):
            self._find(row)
            return None  # settled as an image that is there
        return split

    def _find(self, row: _Row) -> str:
        name = row.file.strip()
        try:
            return find_moved_image(self._folder, name, self._parents)
        except Flaw as flaw:
            # Kaggle's labels.csv is beside train/ and test/. An id is in one of them.
            others = [f for f in listing(self._folder).folders if f not in self._parents]
            missing = flaw
        with suppress(Flaw):
            return find_in_one(self._folder, name, others, missing)
        split = self._split_of(row)
        return self._moved.elsewhere(written_path(name), self._parents, split, missing)

    def _about_image(self, row: _Row) -> SourceImage:
        image = self._find(row)
        if self._seen.add(image) is not None:
            raise Flaw(f"{image!r} appears again; put all its rows together")
        width, height = row.cells.get("width"), row.cells.get("height")
        metadata = {
            name.removeprefix(META): cell
            for name, cell in row.cells.items()
            if name.startswith(META) and cell
        }
        return SourceImage(
            image,
            f"{printable(self._path)}:{row.line}",
            self._split_of(row),
            storable(metadata),
            size=image_sides(width, height) if width or height else None,
        )

    def _labelled(self, image: SourceImage, row: _Row) -> Iterator[SourceAnnotation]:
        cells = row.cells
        if self._header.boxes == VIA:
            cells = via_cells(cells)
            if not cells:
                return
        edges = [cells[name] for name in COLUMNS.get(self._header.boxes, ())]
        if not cells["label"].strip():
            if any(edges):
                raise Flaw("the box has no label; add one")
            return
        box = None
        if edges:
            names = COLUMNS[self._header.boxes]
            a, b, c, d = (number(cell, name) for name, cell in zip(names, edges, strict=True))
            if self._header.boxes in SPANS:
                c, d = a + c, b + d
            unit = (1, 1)
            if self._header.boxes not in IN_SHARES:
                unit = image.size or self._size(image.path)
            box = pixel_box(a, b, c, d, *unit, clip=self._options.clip)
        yield SourceAnnotation(label(cells["label"]), box)

    def _size(self, path: str) -> tuple[int, int]:
        """The size in the image file's header, read once for all rows of the image."""
        if self._sized[0] != path:
            self._sized = path, image_size(self._folder, path)
        return self._sized[1]


def _truth(cell: str) -> bool:
    if cell.strip().lower() not in TRUTH:
        raise Flaw(f"without_concept must be true or false, got {cell[:60]!r}")
    return TRUTH[cell.strip().lower()]


def write(views: Sequence[DeclaredView], images: Images) -> Iterator[Written]:
    """Write `annotations.csv`, with a column for each metadata key in use."""
    view = only_view(views, "CSV")
    keys = sorted({key for image in images() for key in image.metadata})
    boxes = COLUMNS[SHARES] if view.kind == DETECTION else ()
    header = ["file", "label", "split", "width", "height", *boxes, "without_concept"]
    rows = (row for image in images() for row in _written(image, view, keys))
    lined = chain([[*header, *(META + key for key in keys)]], rows)
    yield Written("annotations.csv", chunked(map(_line, lined)))


def _written(
    image: SourceImage, view: DeclaredView, keys: Sequence[str]
) -> Iterator[Sequence[object]]:
    in_view = image.annotations.get(view.name, ViewAnnotations())
    width, height = image.size or ("", "")
    empty = ("",) * 4 if view.kind == DETECTION else ()
    for annotation in in_view.annotations or (None,):
        box = annotation and annotation.box
        yield [
            image.path,
            annotation.label if annotation else "",
            image.split or "",
            width,
            height,
            *(msgspec.structs.astuple(box) if box else empty),
            "true" if in_view.without_concept else "",
            *(image.metadata.get(key, "") for key in keys),
        ]


def _line(row: Sequence[object]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(row)
    return text.getvalue().encode()
