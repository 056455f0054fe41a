"""Rows and columns that go into pandas, Arrow or Polars."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import msgspec

from stemma_client import arrow

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

T = TypeVar("T")

SHOWN = 20
"""Rows that a table shows in a terminal or a notebook."""


class Table:
    """Columns of equal lengths, by name: Python's own values, or an Arrow table."""

    def __init__(self, columns: Mapping[str, Sequence[Any]] | pyarrow.Table) -> None:
        self._of_python = dict(columns) if isinstance(columns, Mapping) else None
        self._of_arrow = None if isinstance(columns, Mapping) else columns

    @property
    def columns(self) -> dict[str, Sequence[Any]]:
        """The values of each column."""
        if self._of_python is None:
            self._of_python = _lists_of(self._of_arrow)
        return self._of_python

    def __len__(self) -> int:
        if self._of_arrow is not None:
            return len(self._of_arrow)
        return len(next(iter(self.columns.values()), ()))

    def to_pandas(self) -> pandas.DataFrame:
        """As a DataFrame; needs the extra `pandas`."""
        import pandas

        if self._of_arrow is not None:
            return arrow.decoded(self._of_arrow).to_pandas(maps_as_pydicts="strict")
        return pandas.DataFrame(self.columns)

    def to_arrow(self) -> pyarrow.Table:
        """As an Arrow table; needs the extra `arrow`."""
        import pyarrow

        if self._of_arrow is not None:
            return self._of_arrow
        return pyarrow.table({name: list(values) for name, values in self.columns.items()})

    def to_polars(self) -> polars.DataFrame:
        """As a DataFrame of Polars; needs the extra `polars`."""
        import polars

        if self._of_arrow is not None:
            return polars.DataFrame(arrow.decoded(self._of_arrow))
        return polars.DataFrame({name: list(values) for name, values in self.columns.items()})

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self._names())
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(_text(value))}</td>" for value in row) + "</tr>"
            for row in self._first()
        )
        more = len(self) - SHOWN
        note = f"<p>… and {more:,} more rows</p>" if more > 0 else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{note}"

    def __repr__(self) -> str:
        cells = [self._names(), *([_text(value) for value in row] for row in self._first())]
        widths = [min(max(map(len, column)), 40) for column in zip(*cells)]  # noqa: B905 (3.10)
        lines = [
            "  ".join(
                cell[:width].ljust(width)
                for cell, width in zip(row, widths)  # noqa: B905
            ).rstrip()
            for row in cells
        ]
        more = len(self) - SHOWN
        return "\n".join([*lines, *([f"… and {more:,} more rows"] if more > 0 else [])])

    def _names(self) -> list[str]:
        if self._of_arrow is not None:
            return list(self._of_arrow.column_names)
        return list(self.columns)

    def _first(self) -> list[tuple[Any, ...]]:
        if self._of_arrow is not None:
            shown = _lists_of(self._of_arrow.slice(0, SHOWN))
        else:
            shown = {name: values[:SHOWN] for name, values in self.columns.items()}
        return list(zip(*shown.values()))  # noqa: B905 (3.10)


def _lists_of(table: pyarrow.Table) -> dict[str, Sequence[Any]]:
    lists: dict[str, Sequence[Any]] = table.to_pydict(maps_as_pydicts="strict")
    return lists


class Rows(Sequence[T], Generic[T]):
    """Typed rows, which are a table, too: a row's fields are its columns."""

    def __init__(self, rows: Iterable[T]) -> None:
        self._rows = list(rows)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Rows[T]: ...
    def __getitem__(self, index: int | slice) -> T | Rows[T]:
        return Rows(self._rows[index]) if isinstance(index, slice) else self._rows[index]

    def __iter__(self) -> Iterator[T]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def table(self) -> Table:
        """The rows as columns; a field of an inner struct is a column `outer.inner`.

        A version, a model and the like have the columns of what the server answers of them.
        """
        flat = [dict(_flat(getattr(row, "row", row))) for row in self._rows]
        names = dict.fromkeys(name for row in flat for name in row)
        return Table({name: [row.get(name) for row in flat] for name in names})

    def to_pandas(self) -> pandas.DataFrame:
        """As a DataFrame; needs the extra `pandas`."""
        return self.table.to_pandas()

    def to_arrow(self) -> pyarrow.Table:
        """As an Arrow table; needs the extra `arrow`."""
        return self.table.to_arrow()

    def to_polars(self) -> polars.DataFrame:
        """As a DataFrame of Polars; needs the extra `polars`."""
        return self.table.to_polars()

    def __repr__(self) -> str:
        return repr(self.table)

    def _repr_html_(self) -> str:
        return self.table._repr_html_()


def _flat(row: object, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """A struct's fields by their names; structs and dictionaries in lists as plain data."""
    values = getattr(row, "__struct_fields__", ())
    for name in values:
        value = getattr(row, name)
        if isinstance(value, msgspec.Struct):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is not msgspec.UNSET:
            yield prefix + name, _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return dict(_flat(value)) if isinstance(value, msgspec.Struct) else value


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
