"""Scores of images as the server reads them: a Parquet file with a row for each image."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stemma_trainer.data import Item


def rows_of(found: Any) -> list[Any]:
    """The rows of an array, or of anything that gives them one after the other."""
    rows: Iterable[Any] = found.tolist() if hasattr(found, "tolist") else found
    return [row.tolist() if hasattr(row, "tolist") else row for row in rows]


def as_parquet(items: Sequence["Item"], rows: Sequence[Any], kind: str) -> bytes:
    """Raises `ValueError` for more or fewer rows than images."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if len(rows) != len(items):
        raise ValueError(f"{len(rows)} rows of scores were given for {len(items)} images")
    images = [item.image for item in items]
    if kind == "detection":
        sides = [(name, pa.float64()) for name in ("score", "x", "y", "width", "height")]
        box = pa.struct([("concept", pa.int32()), *sides])
        columns = {"image": images, "predicted": pa.array(rows, pa.list_(box))}
    else:
        columns = {"image": images, "scores": pa.array(rows, pa.list_(pa.float64()))}
    file = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), file, compression="zstd")
    content: bytes = file.getvalue().to_pybytes()
    return content
