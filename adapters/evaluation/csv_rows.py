"""Metrics and predictions as CSV (RFC 4180), in chunks, safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import islice

from adapters.evaluation.prediction_arrays import Decided, DecidedBoxes, plain
from domain.text import escaped

PIECE_ROWS = 2000
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""A spreadsheet evaluates a cell that starts with one of these (OWASP, CSV injection)."""

_IMAGE = ["image_id", "split"]
_CONCEPT = ["concept_id", "concept"]
LABEL_COLUMNS = [*_IMAGE, *_CONCEPT, "true", "score", "threshold", "predicted"]
_SIDES = ["x", "y", "width", "height"]
BOX_COLUMNS = [*_IMAGE, *_CONCEPT, "box", *_SIDES, "score", "threshold", "predicted", "matched"]

Cell = str | int | float | None


def csv_pieces(columns: list[str], rows: Iterable[list[Cell]]) -> Iterator[bytes]:
    """The file in UTF-8, in chunks of `PIECE_ROWS` rows."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(columns)
    for number, row in enumerate(rows, start=1):
        writer.writerow([_guarded(cell) for cell in row])
        if number % PIECE_ROWS == 0:
            yield _drained(buffer)
    yield _drained(buffer)


def prediction_rows(
    decided: Decided, labels: Mapping[str, str], thresholds: list[float]
) -> tuple[list[str], Iterator[list[Cell]]]:
    """Columns and rows: one row for each image and concept, or for each box in detection.

    A box is `true` or `predicted` and numbered within its image. `matched` of a predicted box is
    the number of a true box.
    """
    if isinstance(decided, DecidedBoxes):
        return BOX_COLUMNS, _boxes(decided, labels, thresholds)
    return LABEL_COLUMNS, _labels(decided, labels, thresholds)


def with_file_names(
    columns: list[str],
    rows: Iterator[list[Cell]],
    names: Callable[[Collection[str]], Mapping[str, str]],
) -> tuple[list[str], Iterator[list[Cell]]]:
    """The same with the image's file name after its id; `names` finds those of some images."""

    def named() -> Iterator[list[Cell]]:
        while chunk := list(islice(rows, PIECE_ROWS)):
            known = names({str(row[0]) for row in chunk})
            for row in chunk:
                yield [row[0], known.get(str(row[0])), *row[1:]]

    return [columns[0], "file_name", *columns[1:]], named()


def _labels(
    decided: Decided, labels: Mapping[str, str], thresholds: list[float]
) -> Iterator[list[Cell]]:
    assert not isinstance(decided, DecidedBoxes)
    predictions = decided.predictions
    concepts = [(key, labels[key]) for key in predictions.concepts]
    for index, image_id in enumerate(predictions.images.ids):
        split = "train" if predictions.images.train[index] else "validation"
        true, predicted = predictions.truth[index].tolist(), decided.predicted[index].tolist()
        for c, score in enumerate(predictions.scores[index]):
            yield [
                *(image_id, split, *concepts[c], int(true[c])),
                *(plain(score), thresholds[c], int(predicted[c])),
            ]


def _boxes(
    decided: DecidedBoxes, labels: Mapping[str, str], thresholds: list[float]
) -> Iterator[list[Cell]]:
    predictions = decided.predictions
    concepts = [(key, labels[key]) for key in predictions.concepts]
    true, predicted = predictions.truth, predictions.predicted
    for index, image_id in enumerate(predictions.images.ids):
        split = "train" if predictions.images.train[index] else "validation"
        for number, b in enumerate(true.of(index)):
            sides = [plain(side) for side in true.sides[b]]
            box: list[Cell] = [*concepts[true.concept[b]], f"true {number}", *sides]
            yield [image_id, split, *box, None, None, int(decided.detected[b]), None]
        for number, b in enumerate(predicted.of(index)):
            sides = [plain(side) for side in predicted.sides[b]]
            c, match = int(predicted.concept[b]), int(predictions.matched[b])
            box = [*concepts[c], f"predicted {number}", *sides]
            score, kept = plain(predictions.scores[b]), int(decided.kept[b])
            matched = f"true {match - int(true.starts[index])}" if match >= 0 else None
            yield [image_id, split, *box, score, thresholds[c], kept, matched]


def _guarded(cell: Cell) -> Cell:
    """The cell as a text that is no formula and holds no control characters."""
    if not isinstance(cell, str):
        return cell
    return escaped(f"'{cell}" if cell.startswith(_FORMULA) else cell)


def _drained(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode()
