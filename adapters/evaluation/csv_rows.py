"""Figures and predictions as CSV (RFC 4180), a piece at a time, safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping

from adapters.evaluation.answers import Decided, DecidedBoxes, plain

PIECE_ROWS = 2000
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A cell that begins so is a formula to a spreadsheet (OWASP, CSV injection)."""

_IMAGE = ["image_id", "split"]
_CONCEPT = ["concept_id", "concept"]
LABEL_COLUMNS = [*_IMAGE, *_CONCEPT, "true", "score", "threshold", "predicted"]
_SIDES = ["x", "y", "width", "height"]
BOX_COLUMNS = [*_IMAGE, *_CONCEPT, "box", *_SIDES, "score", "threshold", "predicted", "matched"]

Cell = str | int | float | None


def csv_pieces(columns: list[str], rows: Iterable[list[Cell]]) -> Iterator[bytes]:
    """The whole file in UTF-8, some thousand rows a piece."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(columns)
    for number, row in enumerate(rows, start=1):
        writer.writerow([_guarded(cell) for cell in row])
        if number % PIECE_ROWS == 0:
            yield _taken(buffer)
    yield _taken(buffer)


def prediction_rows(
    decided: Decided, labels: Mapping[str, str], thresholds: list[float]
) -> tuple[list[str], Iterator[list[Cell]]]:
    """Columns and rows: of labels a row for each image and concept, of detection for each box.

    A box is `true` or `predicted`, numbered within its image; a predicted one is `matched` with
    the number of a true one.
    """
    if isinstance(decided, DecidedBoxes):
        return BOX_COLUMNS, _boxes(decided, labels, thresholds)
    return LABEL_COLUMNS, _labels(decided, labels, thresholds)


def _labels(
    decided: Decided, labels: Mapping[str, str], thresholds: list[float]
) -> Iterator[list[Cell]]:
    assert not isinstance(decided, DecidedBoxes)
    answers = decided.answers
    about = [(key, labels[key]) for key in answers.concepts]
    for place, image_id in enumerate(answers.images.ids):
        split = "train" if answers.images.train[place] else "validation"
        true, said = answers.truth[place].tolist(), decided.predicted[place].tolist()
        for c, score in enumerate(answers.scores[place]):
            yield [
                *(image_id, split, *about[c], int(true[c])),
                *(plain(score), thresholds[c], int(said[c])),
            ]


def _boxes(
    decided: DecidedBoxes, labels: Mapping[str, str], thresholds: list[float]
) -> Iterator[list[Cell]]:
    answers = decided.answers
    about = [(key, labels[key]) for key in answers.concepts]
    true, said = answers.truth, answers.predicted
    for place, image_id in enumerate(answers.images.ids):
        split = "train" if answers.images.train[place] else "validation"
        for number, b in enumerate(true.of(place)):
            sides = [plain(side) for side in true.sides[b]]
            box: list[Cell] = [*about[true.concept[b]], f"true {number}", *sides]
            yield [image_id, split, *box, None, None, int(decided.found[b]), None]
        for number, b in enumerate(said.of(place)):
            sides = [plain(side) for side in said.sides[b]]
            c, match = int(said.concept[b]), int(answers.matched[b])
            box = [*about[c], f"predicted {number}", *sides]
            found = f"true {match - int(true.starts[place])}" if match >= 0 else None
            kept = int(decided.kept[b])
            yield [image_id, split, *box, plain(answers.scores[b]), thresholds[c], kept, found]


def _guarded(cell: Cell) -> Cell:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _taken(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode()
