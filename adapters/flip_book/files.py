"""The Parquet file of an epoch's items; docs/decisions/0043 has its columns and their units."""

import io
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from domain.library.view import CLASSIFICATION, DETECTION, TAGGING
from domain.training.messages import ConceptLabel

_IMAGE = [("image", pa.string()), ("split", pa.string())]
_MEASURED = [("probability", pa.float32()), ("margin", pa.float32()), ("loss", pa.float32())]
_SIDES = [(side, pa.float32()) for side in ("x", "y", "width", "height")]
_TRUE_BOX = pa.struct(
    [
        ("concept", pa.int32()),
        *_SIDES,
        ("outcome", pa.string()),
        ("predicted", pa.int32()),
        *_MEASURED,
    ]
)
_PREDICTED_BOX = pa.struct(
    [
        ("concept", pa.int32()),
        ("score", pa.float32()),
        *_SIDES,
        ("outcome", pa.string()),
        ("matched", pa.int32()),
    ]
)
SCHEMAS = {
    CLASSIFICATION: pa.schema(
        [*_IMAGE, ("concept", pa.int32()), ("predicted", pa.int32()), *_MEASURED]
    ),
    TAGGING: pa.schema(
        [
            *_IMAGE,
            ("concept", pa.int32()),
            ("truth", pa.bool_()),
            ("predicted", pa.bool_()),
            *_MEASURED,
        ]
    ),
    DETECTION: pa.schema(
        [
            *_IMAGE,
            ("loss", pa.float32()),
            ("truth", pa.list_(_TRUE_BOX)),
            ("boxes", pa.list_(_PREDICTED_BOX)),
        ]
    ),
}


class SampledImages(msgspec.Struct, frozen=True):
    """The sampled images in the file's order, training images first."""

    ids: Sequence[str]
    splits: Sequence[str]


def file_of(
    kind: str,
    concepts: Sequence[ConceptLabel],
    epoch: int,
    images: SampledImages,
    columns: dict[str, Any],
) -> bytes:
    """The file of an epoch: `columns` has all but those of the image, with a row for each item.

    Tagging has as many rows for each image as there are concepts. Equal columns give equal bytes.
    """
    repeats = len(concepts) if kind == TAGGING else 1
    schema = SCHEMAS[kind].with_metadata(
        {
            "kind": kind,
            "concepts": msgspec.json.encode(list(concepts)).decode(),
            "epoch": str(epoch),
        }
    )
    own = {
        "image": _repeated(images.ids, repeats),
        "split": _repeated(images.splits, repeats),
    }
    arrays = [_array((own | columns)[field.name], field.type) for field in schema]
    output = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), output, compression="zstd")
    return output.getvalue()


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array):
        return values.cast(kind)
    return pa.array(values, kind)


def _repeated(values: Sequence[str], times: int) -> pa.Array:
    """Each value so many times: as indexes, since 100,000 texts take long to convert."""
    distinct = list(dict.fromkeys(values))
    place = {value: number for number, value in enumerate(distinct)}
    indexes: NDArray[np.int32] = np.repeat(
        np.fromiter((place[value] for value in values), np.int32), times
    )
    return pa.DictionaryArray.from_arrays(pa.array(indexes), pa.array(distinct, pa.string()))
