"""A CSV table (RFC 4180) with a header and one row per annotation; an image's rows are adjacent.

Columns: `file` and `label`; optional are `split`, `width` and `height` of the image,
`without_concept` (true for an image without a concept) and `meta:<key>`. Boxes are `xmin`, `ymin`,
`xmax`, `ymax` in pixels from 0, as in TensorFlow's object detection API, or `x`, `y`,
`box_width`, `box_height` in shares of the image. A row without a label has no annotation. An empty
cell of `meta:<key>` means that the image does not have the key.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby
from pathlib import Path

import msgspec

from adapters.formats.annotations import kind_of, view_annotations
from adapters.formats.boxes import image_sides, number, pixel_box
from adapters.formats.csv_columns import ABOUT_IMAGE, META, PIXELS, SHARES, csv_path, read_header
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
    find_image,
    image_size,
    label,
    lines,
    printable,
    split_name,
    storable,
)
from adapters.formats.writing import chunked, only_view
from adapters.uploads.disk_set import DiskSet
from domain.library.view import CLASSIFICATION, DETECTION, TAGGING

TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}


class _Row(msgspec.Struct, frozen=True):
    """A row's cells by column. A row with a flaw has no cells and belongs to the image before."""

    line: int
    file: str
    cells: dict[str, str] = {}
    flaw: str = ""


def read(folder: Path, options: ReadOptions) -> Contents:
    path = csv_path(folder)
    header = read_header(folder, path, options.max_bytes)
    boxes = next((columns for columns in (PIXELS, SHARES) if columns[0] in header), ())
    kinds = (DETECTION,) if boxes else (CLASSIFICATION, TAGGING)
    kind = kind_of(options, "this CSV table", *kinds)
    table = _Table(folder, path, header, boxes, kind, options)
    return Contents((DeclaredView(options.view, kind, ()),), table.images())


class _Table:
    """Reader of the rows after the header of one file."""

    def __init__(
        self,
        folder: Path,
        path: str,
        header: list[str],
        boxes: tuple[str, ...],
        kind: str,
        options: ReadOptions,
    ) -> None:
        self._folder, self._path, self._header = folder, path, header
        self._boxes, self._kind, self._options = boxes, kind, options
        self._same = [n for n in header if n in ABOUT_IMAGE or n.startswith(META)]
        self._seen = DiskSet()
        self._sized: tuple[str, tuple[int, int]] = ("", (0, 0))

    def images(self) -> Iterator[SourceImage | Problem | Note]:
        for _, rows in groupby(self._rows(), lambda row: row.file):
            yield from self._image(rows)

    def _rows(self) -> Iterator[_Row]:
        rows = csv.reader(lines(self._folder, self._path, self._options.max_bytes), strict=True)
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
            if not flaw and len(cells) != len(self._header):
                flaw = f"the row has {len(cells)} cells and the header {len(self._header)}"
            if not flaw and any("\0" in cell for cell in cells):
                flaw = "the row has a NUL; remove it"
            if flaw:
                yield _Row(line, file, flaw=flaw)
                continue
            row = dict(zip(self._header, cells, strict=True))
            file = row["file"]
            yield _Row(line, file, row)

    def _image(self, rows: Iterable[_Row]) -> Iterator[SourceImage | Problem]:
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
                    image = self._about_image(row)
                elif any(row.cells[name] != head.cells[name] for name in self._same):
                    raise Flaw("split, size or metadata differ from the image's first row")
                if image is not None:
                    annotations += self._labelled(image, row)
                    without_concept |= _truth(row.cells.get("without_concept", ""))
            except Flaw as flaw:
                flawed = True
                yield Problem(f"{printable(self._path)}:{row.line}", str(flaw))
        if flawed or image is None:
            return
        try:
            in_view = view_annotations(self._kind, annotations, without_concept)
        except Flaw as flaw:
            yield Problem(image.where, str(flaw))
            return
        by_view = {} if in_view is None else {self._options.view: in_view}
        yield msgspec.structs.replace(image, annotations=by_view)

    def _about_image(self, row: _Row) -> SourceImage:
        image = find_image(self._folder, row.file, ("", "images"))
        if self._seen.add(image) is not None:
            raise Flaw(f"{image!r} comes again; put all its rows together")
        width, height = row.cells.get("width"), row.cells.get("height")
        metadata = {
            name.removeprefix(META): cell
            for name, cell in row.cells.items()
            if name.startswith(META) and cell
        }
        return SourceImage(
            image,
            f"{printable(self._path)}:{row.line}",
            split_name(row.cells.get("split", "")),
            storable(metadata),
            size=image_sides(width, height) if width or height else None,
        )

    def _labelled(self, image: SourceImage, row: _Row) -> Iterator[SourceAnnotation]:
        cells = [row.cells[name] for name in self._boxes]
        if not row.cells["label"].strip():
            if any(cells):
                raise Flaw("the box has no label; give one")
            return
        box = None
        if self._boxes:
            a, b, c, d = (number(cell, name) for name, cell in zip(self._boxes, cells, strict=True))
            clip = self._options.clip
            if self._boxes == SHARES:
                box = pixel_box(a, b, a + c, b + d, 1, 1, clip=clip)
            else:
                size = image.size or self._size(image.path)
                box = pixel_box(a, b, c, d, *size, clip=clip)
        yield SourceAnnotation(label(row.cells["label"]), box)

    def _size(self, path: str) -> tuple[int, int]:
        """The size in the image file's header, read once for all rows of the image."""
        if self._sized[0] != path:
            self._sized = path, image_size(self._folder, path)
        return self._sized[1]


def _truth(cell: str) -> bool:
    if cell.strip().lower() not in TRUTH:
        raise Flaw(f"without_concept is {cell[:60]!r}; it is true or false")
    return TRUTH[cell.strip().lower()]


def write(views: Sequence[DeclaredView], images: Images) -> Iterator[Written]:
    """Write `annotations.csv`, with a column for each metadata key in use."""
    view = only_view(views, "CSV")
    keys = sorted({key for image in images() for key in image.metadata})
    boxes = SHARES if view.kind == DETECTION else ()
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
