"""Images as an Arrow table: a row for each, with the fields of the JSON answer as columns.

pyarrow and NumPy are imported on use: the API starts without them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from domain.dataset.image import Box
from projections.dataset.image_columns import (
    INTEGERS,
    MOMENTS,
    NUMBERS,
    SEPARATOR,
    TEXTS,
    AnnotationColumns,
    ImageColumns,
    ReviewColumns,
)
from projections.dataset.queries import ImageRow

_LISTS = {"annotations", "crops"}
_OF_A_ROW = [(name, ">i4" if name in INTEGERS else ">i8") for name in NUMBERS]
_EPOCH = 946_684_800_000_000
"""PostgreSQL's, 2000-01-01, in microseconds of Unix time."""

Annotated = Callable[[Sequence[str]], tuple[AnnotationColumns, ReviewColumns]]
"""The annotations and reviews of images by their ids."""


class HoldsSeparator(Exception):
    """A text of a column holds what stands between two."""


def images_table(rows: Sequence[ImageRow]) -> Any:
    """A row for each image; its annotations and crops are lists of structs."""
    import pyarrow as pa

    types = _types()
    columns = {
        name: pa.array([_plain(name, row) for row in rows], types.get(name, pa.string()))
        for name in ImageRow.__struct_fields__
    }
    return pa.table(columns)


def table_of_columns(found: ImageColumns, annotated: Annotated | None) -> Any:
    """The same from columns; without `annotated`, of no view. Raises `HoldsSeparator`."""
    import numpy as np
    import pyarrow as pa

    types, count = _types(), found.rows
    columns: dict[str, Any] = {name: _strings(found.texts[name], count) for name in TEXTS}
    columns["project_id"] = pa.repeat(found.project_id, count)
    numbers = np.frombuffer(found.numbers, _OF_A_ROW)
    columns |= {
        name: _moments(numbers[name]) if name in MOMENTS else pa.array(_native(numbers[name]))
        for name in NUMBERS
    }
    columns["metadata"] = _maps(found.metadata)
    for name in ("annotations", "reviewed_by", "reviewed_at", "crops"):
        columns[name] = pa.nulls(count, types.get(name, pa.string()))
    without_concept = np.zeros(count, bool)
    if annotated is None:
        columns["annotations"] = pa.array([[]] * count, types["annotations"])
    else:
        annotations, reviews = annotated(columns["image_id"].to_pylist())
        columns["annotations"] = _annotations(annotations, count)
        without_concept[_integers(annotations.without_concept, ">i4")] = True
        reviewed = _scattered(reviews.places, count)
        columns["reviewed_by"] = _strings(reviews.reviewed_by, len(reviews.places) // 4).take(
            reviewed
        )
        columns["reviewed_at"] = _moments(np.frombuffer(reviews.reviewed_at, ">i8")).take(reviewed)
    columns["without_concept"] = pa.array(without_concept)
    return pa.table({name: columns[name] for name in ImageRow.__struct_fields__})


def _types() -> dict[str, Any]:
    """The types of columns that are not texts."""
    import pyarrow as pa

    box = pa.struct([(side, pa.float64()) for side in Box.__struct_fields__])
    return {
        "width": pa.int32(),
        "height": pa.int32(),
        "metadata": pa.map_(pa.string(), pa.string()),
        "added_position": pa.int64(),
        "revision": pa.int64(),
        "changed_at": pa.timestamp("us", tz="UTC"),
        "annotations": pa.list_(pa.struct([("concept_id", pa.string()), ("box", box)])),
        "without_concept": pa.bool_(),
        "reviewed_at": pa.timestamp("us", tz="UTC"),
        "crops": pa.list_(pa.struct([("box", box), ("chosen", pa.bool_())])),
    }


def _plain(name: str, row: ImageRow) -> object:
    value = getattr(row, name)
    if name == "metadata":
        return list(value.items())
    return msgspec.to_builtins(value) if name in _LISTS else value


def _integers(content: bytes, kind: str) -> Any:
    """Big-endian numbers as those of this machine."""
    import numpy as np

    return _native(np.frombuffer(content, kind))


def _native(numbers: Any) -> Any:
    return numbers.astype(numbers.dtype.newbyteorder("="))


def _offsets(lengths: Any) -> Any:
    """Where each part of a column begins, and the last one ends."""
    import numpy as np

    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)


def _strings(content: bytes, count: int) -> Any:
    """A column of `count` texts. Raises `HoldsSeparator`."""
    import numpy as np
    import pyarrow as pa

    if count == 0:
        return pa.array([], pa.string())
    ends = np.flatnonzero(np.frombuffer(content, np.uint8) == SEPARATOR[0])
    if len(ends) != count - 1:
        raise HoldsSeparator
    texts = content.replace(SEPARATOR, b"")
    offsets = np.concatenate([[0], ends - np.arange(count - 1), [len(texts)]]).astype(np.int32)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(texts))


def _moments(since_epoch: Any) -> Any:
    import pyarrow as pa

    return pa.array(_native(since_epoch) + _EPOCH).cast(pa.timestamp("us", tz="UTC"))


def _maps(metadata: bytes) -> Any:
    """Metadata of images, which differ in their keys. What many images have is read once."""
    import pyarrow as pa

    places: dict[bytes, int] = {}
    texts = metadata.split(SEPARATOR) if metadata else []
    at = [places.setdefault(each, len(places)) for each in texts]
    read = msgspec.json.decode(b"[" + b",".join(places) + b"]", type=list[dict[str, str]])
    keys = [key for one in read for key in one]
    values = [value for one in read for value in one.values()]
    keys_and_values = (pa.array(each, pa.string()) for each in (keys, values))
    maps = pa.MapArray.from_arrays(_offsets([len(one) for one in read]), *keys_and_values)
    return maps if len(read) == len(at) else maps.take(pa.array(at))


def _annotations(found: AnnotationColumns, count: int) -> Any:
    """A list of structs for each image."""
    import numpy as np
    import pyarrow as pa

    counts = np.bincount(_integers(found.places, ">i4"), minlength=count)
    sides = [pa.array(_integers(found.sides[side], ">f8")) for side in Box.__struct_fields__]
    missing = pa.array(np.frombuffer(found.has_box, bool) ^ True)
    box = pa.StructArray.from_arrays(sides, Box.__struct_fields__, mask=missing)
    concepts = _strings(found.concept_ids, len(missing))
    each = pa.StructArray.from_arrays([concepts, box], ["concept_id", "box"])
    return pa.ListArray.from_arrays(_offsets(counts), each)


def _scattered(places: bytes, count: int) -> Any:
    """For each image, the number of its row, or null."""
    import numpy as np
    import pyarrow as pa

    at = _integers(places, ">i4")
    rows, missing = np.zeros(count, np.int64), np.ones(count, bool)
    rows[at], missing[at] = np.arange(len(at)), False
    return pa.array(rows, mask=missing)
