"""Where the boxes of Pascal VOC count from: 1 in the development kit, 0 in other tools."""

import re
from collections.abc import Sequence
from pathlib import Path

from adapters.formats.items import Note
from adapters.formats.sources import printable
from adapters.formats.xml_tree import LARGEST

FROM_0 = (
    "boxes are counted from 0, as in CVAT, because one begins at 0; the option origin changes that"
)
FROM_1 = (
    "boxes are counted from 1, as in the VOC development kit, because none begins at 0; the"
    " option origin changes that"
)
_LEAST = re.compile(rb"<[xy]min>\s*([-+.0-9eE]+)\s*</[xy]min>")


def guess_origin(folder: Path, paths: Sequence[str]) -> tuple[int, Note]:
    """The origin, and a note that says why.

    A box that begins before 1 shows that edges count from 0, since the devkit has no such pixel. If
    there is none, the devkit's 1 is taken.
    """
    for path in paths:
        with (folder / path).open("rb") as file:
            xml = file.read(LARGEST)
        for match in _LEAST.finditer(xml):
            try:
                least = float(match[1])
            except ValueError:
                continue
            if 0 <= least < 1:
                return 0, Note(printable(path), FROM_0)
    return 1, Note(printable(paths[0]), FROM_1)
