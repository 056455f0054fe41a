"""Images as an Arrow table: a row for each, as the JSON answer has them."""

from collections.abc import Sequence
from typing import Any

import msgspec

from projections.dataset.queries import ImageRow

_LISTS = {"annotations", "crops"}


def images_table(rows: Sequence[ImageRow]) -> Any:
    """A row for each image; its annotations and crops are lists of structs."""
    import pyarrow as pa

    box = pa.struct([(side, pa.float64()) for side in ("x", "y", "width", "height")])
    types = {
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
    columns = {
        name: pa.array([_plain(name, row) for row in rows], types.get(name, pa.string()))
        for name in ImageRow.__struct_fields__
    }
    return pa.table(columns)


def _plain(name: str, row: ImageRow) -> object:
    value = getattr(row, name)
    if name == "metadata":
        return list(value.items())
    return msgspec.to_builtins(value) if name in _LISTS else value
