"""The tables of a source in CSV: their separator and columns, also as other tools write them.

Known are headers with the names in `ALIASES` (TensorFlow's object detection API, Kaggle, VoTT,
deepforest, MakeSense), the one of Open Images, whose edges are shares, and the one of VIA, whose
cells are JSON. Without a header are RetinaNet's (`path,x1,y1,x2,y2,class`) and AutoML's
(`[set,]path,label[,8 coordinates in shares]`).
"""

import csv
import difflib
import glob
import re
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from adapters.formats.image_names import is_image
from adapters.formats.items import Recognition
from adapters.formats.sources import joined, lines, listing, printable
from adapters.formats.splits import SPLITS, UNDECIDED, file_split, folder_split, may_be_absent
from domain.errors import Invalid

PIXELS, SHARES, EDGES_IN_SHARES, PIXEL_SPANS, VIA = "pixels", "shares", "edges", "spans", "via"
EDGES = ("xmin", "ymin", "xmax", "ymax")
COLUMNS = {
    PIXELS: EDGES,
    EDGES_IN_SHARES: EDGES,
    VIA: EDGES,
    SHARES: ("x", "y", "box_width", "box_height"),
    PIXEL_SPANS: ("bbox_x", "bbox_y", "bbox_width", "bbox_height"),
}
"""The columns of a box, by what they hold."""
IN_SHARES = {SHARES, EDGES_IN_SHARES}
SPANS = {SHARES, PIXEL_SPANS}
ANNOTATION = ("label", "without_concept")
ABOUT_IMAGE = ("file", "split", "width", "height")
META = "meta:"
IGNORED = "ignored:"
IDS = ("image_id", "imageid", "id")
"""Names of an image's file without its ending, unless another column has the file."""
ALIASES = {
    "file": (
        *("filename", "file_name", "filepath", "filepaths", "file_path", "path", "image"),
        *("image_path", "image_name", "imagepath", "imagename", "img", "img_path"),
    ),
    "label": (
        *("labels", "class", "concept", "class_name", "classname", "category"),
        *("category_name", "label_name", "labelname"),
    ),
    "split": ("set", "subset", "partition", "ml_use", "data set", "data_set", "dataset"),
    "width": ("image_width", "img_width"),
    "height": ("image_height", "img_height"),
    "xmin": ("x_min", "x1", "left"),
    "ymin": ("y_min", "y1", "top"),
    "xmax": ("x_max", "x2", "right"),
    "ymax": ("y_max", "y2", "bottom"),
}
KNOWN = {alias: name for name, aliases in ALIASES.items() for alias in (name, *aliases)}
KNOWN |= {name: name for name in (*ANNOTATION, *COLUMNS[SHARES], *COLUMNS[PIXEL_SPANS])}
VIA_HEADER = {"filename", "region_shape_attributes", "region_attributes"}
SEPARATORS = (",", ";", "\t", "|")
ENDINGS = (".csv", ".tsv")
INDEX = re.compile(r"(unnamed: \d+)?")
"""The name of a column that numbers the rows, as pandas writes it."""


class Header(msgspec.Struct, frozen=True):
    """A table's columns by their place. `boxes` is a key of `COLUMNS` or empty; `ignored` are the
    names of columns that are left out. With `lists_negatives`, a row without a label stands for an
    image without concept."""

    path: str
    delimiter: str
    names: tuple[str, ...]
    boxes: str = ""
    ignored: tuple[str, ...] = ()
    has_header: bool = True
    lists_negatives: bool = False


def recognise(folder: Path) -> Recognition:
    try:
        tables = find_tables(folder, 1 << 62)
    except Invalid as refusal:
        return Recognition(refusal.detail)
    read = [header.path for header in tables]
    read += [path for path in _candidates(folder) if _is_of_test(path)]
    return Recognition(reads=tuple(map(glob.escape, read)))


def find_tables(folder: Path, max_bytes: int) -> list[Header]:
    """The headers of the tables: `annotations.csv`, or the only table, or one for each split.

    Raises `Invalid` with the reason for each file that is none.
    """
    paths = _candidates(folder)
    if "annotations.csv" in paths:
        return [read_header(folder, "annotations.csv", max_bytes)]
    tables, refusals = [], []
    for path in paths:
        if "submission" in path.lower():
            continue
        try:
            tables.append(read_header(folder, path, max_bytes))
        except Invalid as refusal:
            refusals.append(refusal.detail)
    if not tables:
        raise Invalid("; ".join(refusals[:3]) or "no *.csv or *.tsv found")
    splits = [file_split(table.path) for table in tables]
    if len(tables) > 1 and (None in splits or len(set(splits)) < len(splits)):
        raise Invalid(
            "looked for annotations.csv, one table, or one for each split; there are"
            f" {len(tables)}:"
            f" {', '.join(printable(table.path) for table in tables[:5])}"
        )
    return tables


def _candidates(folder: Path) -> list[str]:
    top = listing(folder)
    parents = [name for name in top.folders if name.lower() == "annotations" or folder_split(name)]
    return [
        joined(parent, name)
        for parent in ("", *parents)
        for name in listing(folder, parent).files
        if name.lower().endswith(ENDINGS)
    ]


def _is_of_test(path: str) -> bool:
    """Whether a table is about test images, which Kaggle publishes without labels."""
    split = file_split(path)
    return "submission" in path.lower() or (split is not None and may_be_absent(split))


def image_folders(folder: Path, path: str) -> list[str]:
    """The folders where the images of a table may be: its own, the top, those of its split."""
    split = file_split(path)
    folders = listing(folder).folders
    usual = [name for name in folders if name.lower() in {"images", "imgs", "img", "jpegimages"}]
    same = [name for name in folders if split and folder_split(name) == split]
    return list(dict.fromkeys([path.rpartition("/")[0], "", "images", *usual, *same]))


def read_header(folder: Path, path: str, max_bytes: int) -> Header:
    """The columns of a table. Raises `Invalid` with what was found and the nearest known name."""
    first = _first_row(folder, path, max_bytes, ",")
    without = _without_header(path, first)
    if without is not None:
        return without
    refusals: list[tuple[int, Invalid]] = []
    for delimiter in SEPARATORS:
        cells = _first_row(folder, path, max_bytes, delimiter)
        try:
            return _header(path, delimiter, cells)
        except Invalid as refusal:
            refusals.append((len(cells), refusal))
    # The separator that divides the line most is the table's.
    raise max(refusals, key=lambda entry: entry[0])[1]


def _first_row(folder: Path, path: str, max_bytes: int, delimiter: str) -> list[str]:
    with closing(lines(folder, path, max_bytes)) as text:
        try:
            return next(csv.reader(text, strict=True, delimiter=delimiter), [])
        except csv.Error as error:
            raise Invalid(f"{printable(path)}:1: {error}") from error


def _header(path: str, delimiter: str, cells: Sequence[str]) -> Header:
    where = f"{printable(path)}:1"
    raw = [cell if cell.startswith(META) else cell.strip().lower() for cell in cells]
    for name in raw:
        if raw.count(name) > 1:
            raise Invalid(f"{where}: column {name[:60]!r} is used twice; remove one")
    if set(raw) >= VIA_HEADER:
        return Header(path, delimiter, tuple("file" if n == "filename" else n for n in raw), VIA)
    names, ignored = _canonical(raw, cells)
    for required in ("file", "label"):
        count = names.count(required)
        if count > 1:
            both = [name for name in raw if KNOWN.get(name) == required]
            raise Invalid(f"{where}: {' and '.join(map(repr, both))} both name the {required};"
                          " remove one")  # fmt: skip
        if not count:
            raise Invalid(f"{where}: {_missing(required, cells)}")
    boxes = next((kind for kind in (PIXELS, SHARES, PIXEL_SPANS) if _has_all(kind, names)), "")
    if boxes == PIXELS and {"imageid", "labelname"} <= set(raw):
        boxes = EDGES_IN_SHARES  # Open Images
    partial = {name for columns in COLUMNS.values() for name in columns} & set(names)
    if partial != set(COLUMNS.get(boxes, ())) or ("width" in names) != ("height" in names):
        raise Invalid(
            f"{where}: boxes need all of {', '.join(EDGES)} or all of"
            f" {', '.join(COLUMNS[SHARES])}; width and height must be used together"
        )
    return Header(path, delimiter, tuple(names), boxes, tuple(ignored))


def _has_all(kind: str, names: Sequence[str]) -> bool:
    return set(COLUMNS[kind]) <= set(names)


def _canonical(raw: Sequence[str], cells: Sequence[str]) -> tuple[list[str], list[str]]:
    """Our names of the columns, and the names of those that are left out."""
    has_file = any(KNOWN.get(name) == "file" for name in raw)
    identifier = None if has_file else next((name for name in IDS if name in raw), None)
    names, ignored = [], []
    for name, cell in zip(raw, cells, strict=True):
        if name == identifier:
            names.append("file")
        elif name in KNOWN or name.startswith(META):
            names.append(KNOWN.get(name, name))
        else:
            shown = cell.strip()
            names.append(IGNORED + shown)
            if not INDEX.fullmatch(name):
                ignored.append(shown)
    return names, ignored


def _missing(required: str, cells: Sequence[str]) -> str:
    found = ", ".join(repr(cell.strip()[:30]) for cell in cells[:10]) or "nothing"
    known = [required, *ALIASES[required]]
    close = [
        f"; {cell.strip()[:30]!r} is similar to {match[0]!r}"
        for cell in cells
        if (match := difflib.get_close_matches(cell.strip().lower(), known, 1))
    ]
    if any(is_image(cell.strip()) for cell in cells):
        close = ["; this seems to be a row, so put a header above, such as file,label"]
    return f"column {required!r} is missing; found {found}{''.join(close[:1])}"


def _without_header(path: str, cells: Sequence[str]) -> Header | None:
    """The columns of RetinaNet's and AutoML's tables, by their first row."""
    cells = [cell.strip() for cell in cells]
    if len(cells) == 6 and is_image(cells[0]) and _are_numbers(cells[1:5]):
        names = ("file", *EDGES, "label")
        return Header(path, ",", names, PIXELS, has_header=False, lists_negatives=True)
    has_set = bool(cells) and cells[0].isupper() and cells[0].lower() in _AUTOML_SETS
    rest = cells[1:] if has_set else cells
    if not rest or not (is_image(rest[0]) and (has_set or rest[0].startswith("gs://"))):
        return None
    head = ("split", "file", "label") if has_set else ("file", "label")
    if len(rest) == 2:
        return Header(path, ",", head, has_header=False)
    if len(rest) == 10 and _are_numbers(rest[2:]):
        # x and y of the four corners, of which the second and fourth may be empty
        places = ("xmin", "ymin", "-x2", "-y1", "xmax", "ymax", "-x1", "-y2")
        names = (*head, *places)
        return Header(path, ",", names, EDGES_IN_SHARES, has_header=False, lists_negatives=True)
    return None


_AUTOML_SETS = {*SPLITS, *UNDECIDED} - {""}


def _are_numbers(cells: Sequence[str]) -> bool:
    return all(re.fullmatch(r"-?\d*\.?\d*", cell) for cell in cells)
