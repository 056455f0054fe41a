"""The columns of a CSV table: how the table is located, and the columns of its header."""

import csv
from contextlib import closing
from pathlib import Path

from adapters.formats.sources import lines, listing, printable
from domain.errors import Invalid

PIXELS = ("xmin", "ymin", "xmax", "ymax")
SHARES = ("x", "y", "box_width", "box_height")
ANNOTATION = ("label", "without_concept")
ABOUT_IMAGE = ("file", "split", "width", "height")
META = "meta:"
ALIASES = {"filename": "file", "path": "file", "image": "file", "class": "label"}
ALIASES["concept"] = "label"


def is_csv(folder: Path) -> bool:
    try:
        read_header(folder, csv_path(folder), 1 << 62)
    except Invalid:
        return False
    return True


def csv_path(folder: Path) -> str:
    names = [name for name in listing(folder).files if name.lower().endswith(".csv")]
    if "annotations.csv" in names:
        return "annotations.csv"
    if len(names) != 1:
        raise Invalid(f"looked for annotations.csv, or one *.csv alone; there are {len(names)}")
    return names[0]


def read_header(folder: Path, path: str, max_bytes: int) -> list[str]:
    """The names of the columns. Raises `Invalid` for unknown, missing or duplicate ones."""
    where = f"{printable(path)}:1"
    with closing(lines(folder, path, max_bytes)) as text:
        try:
            cells = next(csv.reader(text, strict=True), [])
        except csv.Error as error:
            raise Invalid(f"{where}: {error}") from error
    names = [cell if cell.startswith(META) else cell.strip().lower() for cell in cells]
    names = [ALIASES.get(name, name) for name in names]
    seen: set[str] = set()
    for name in names:
        is_known = name in {*ABOUT_IMAGE, *ANNOTATION, *PIXELS, *SHARES} or name.startswith(META)
        if not is_known or name in seen:
            raise Invalid(
                f"{where}: column {name[:60]!r} is {'given twice' if is_known else 'unknown'};"
                f" remove it, or call it {META}<key> to keep it as metadata"
            )
        seen.add(name)
    for required in ("file", "label"):
        if required not in seen:
            raise Invalid(f"{where}: column {required!r} is missing; separate columns with commas")
    boxes = seen & {*PIXELS, *SHARES}
    if boxes not in (set(), {*PIXELS}, {*SHARES}) or ("width" in seen) != ("height" in seen):
        raise Invalid(
            f"{where}: boxes have all of {', '.join(PIXELS)} or all of {', '.join(SHARES)};"
            " width and height go together"
        )
    return names
