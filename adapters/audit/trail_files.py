"""The audit trail as a file, written in pieces: JSON lines, CSV (RFC 4180) or Parquet."""

import io
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import msgspec

from adapters.evaluation.csv_rows import Cell, csv_pieces
from domain.audit.trail import Line

PIECE = 1000
ROW_GROUP = 10_000
COLUMNS = Line.__struct_fields__


def jsonl_pieces(lines: Iterable[Line]) -> Iterator[bytes]:
    encoder = msgspec.json.Encoder()
    remaining = iter(lines)
    while page := list(islice(remaining, PIECE)):
        yield encoder.encode_lines(page)


def trail_csv_pieces(lines: Iterable[Line]) -> Iterator[bytes]:
    return csv_pieces(list(COLUMNS), (_cells(line) for line in lines))


def _cells(line: Line) -> list[Cell]:
    cells: list[Cell] = list(msgspec.to_builtins(line).values())
    return cells


def parquet_pieces(lines: Iterable[Line]) -> Iterator[bytes]:
    """A Parquet file with ten thousand lines per row group; one row group is in memory."""
    # Imported lazily: pyarrow takes 60 MB that most processes of the API never use.
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"position": pa.int64(), "revision": pa.int64()}
    kinds["occurred_at"] = pa.timestamp("us", tz="UTC")
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
    remaining = iter(lines)
    sink = _Sink()
    with pq.ParquetWriter(pa.PythonFile(sink, "w"), schema, compression="zstd") as writer:
        while rows := list(islice(remaining, ROW_GROUP)):
            table = pa.Table.from_pylist([msgspec.structs.asdict(line) for line in rows], schema)
            writer.write_table(table)
            yield sink.drain()
    yield sink.drain()


class _Sink(io.RawIOBase):
    """A file in memory whose content can be drained."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._pieces.append(bytes(data))
        return len(data)

    def drain(self) -> bytes:
        whole = b"".join(self._pieces)
        self._pieces.clear()
        return whole


FORMATS: dict[str, tuple[str, Callable[[Iterable[Line]], Iterator[bytes]]]] = {
    "jsonl": ("application/jsonl; charset=utf-8", jsonl_pieces),
    "csv": ("text/csv; charset=utf-8", trail_csv_pieces),
    "parquet": ("application/vnd.apache.parquet", parquet_pieces),
}
"""The media type and the writer of each format."""
