"""A checkpoint's predictions on its frozen images, as a Parquet file with a row for each image.

Concepts are numbers: their indexes in the version's list of concepts. In classification and
tagging, `truth` has the image's true concepts, and `scores` a number in [0, 1] for each concept. In
detection, `truth` has the true boxes and `predicted` the predicted ones in descending order of
score; `matched` is the index in `truth` of the box that matches at IoU 0.5 or more, or -1. A box is
left, top, width and height as shares of the image's sides. Matches do not depend on the threshold:
a lower threshold only adds boxes after the others.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from domain.library.view import DETECTION
from domain.training.messages import ConceptLabel

ROWS = 1000
"""Rows in one batch of a write or a read."""

_BOX = [("x", pa.float32()), ("y", pa.float32()), ("width", pa.float32()), ("height", pa.float32())]
_TRUE_BOX = pa.struct([("concept", pa.int32()), *_BOX])
_PREDICTED_BOX = pa.struct(
    [("concept", pa.int32()), ("score", pa.float32()), *_BOX, ("matched", pa.int32())]
)
_IMAGE = [("image", pa.string()), ("split", pa.string())]
_LABELLED = pa.schema(
    [*_IMAGE, ("truth", pa.list_(pa.int32())), ("scores", pa.list_(pa.float32()))]
)
_BOXED = pa.schema(
    [*_IMAGE, ("truth", pa.list_(_TRUE_BOX)), ("predicted", pa.list_(_PREDICTED_BOX))]
)


def schema_of(kind: str) -> pa.Schema:
    return _BOXED if kind == DETECTION else _LABELLED


class PredictionsFile:
    """A predictions file that is being written row by row; at most `ROWS` rows are in memory."""

    def __init__(self, writer: pq.ParquetWriter, schema: pa.Schema) -> None:
        self._writer, self._schema = writer, schema
        self._rows: list[dict[str, Any]] = []

    def add(self, row: dict[str, Any]) -> None:
        self._rows.append(row)
        if len(self._rows) == ROWS:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, self._schema))
            self._rows.clear()


@contextmanager
def writing_predictions(
    path: Path, kind: str, concepts: Iterable[ConceptLabel]
) -> Iterator[PredictionsFile]:
    """Write a predictions file. The same rows give the same bytes."""
    metadata = {"kind": kind, "concepts": msgspec.json.encode(list(concepts)).decode()}
    schema = schema_of(kind).with_metadata(metadata)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        file = PredictionsFile(writer, schema)
        yield file
        file.flush()
