"""Rows and columns that go into pandas, Arrow or Polars."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import msgspec

from stemma_client import arrow
from stemma_client.polars_frames import frame_of

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
        if self._of_arrow is None:
            return frame_of(self.columns)
        import polars

        table, maps = arrow.decoded(self._of_arrow), arrow.maps_in(self._of_arrow)
        frame = polars.DataFrame(table.drop_columns(maps))
        of_maps = frame_of(_lists_of(table.select(maps)))
        return frame.with_columns(*of_maps.get_columns()).select(table.column_names)

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
        return Table(_columns_of([getattr(row, "row", row) for row in self._rows]))

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


def _columns_of(rows: Sequence[Any]) -> dict[str, list[Any]]:
    """The fields of structs as columns; one that only some of the rows have is None in the others.

    All rows of a kind are taken apart at once, field by field: there may be thousands.
    """
    places: dict[type, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(type(row), []).append(place)
    if len(places) == 1:
        return dict(_columns_of_kind(rows))
    columns: dict[str, list[Any]] = {}
    for at in places.values():
        for name, values in _columns_of_kind([rows[place] for place in at]):
            column = columns.setdefault(name, [None] * len(rows))
            for place, value in zip(at, values):  # noqa: B905 (3.10)
                column[place] = value
    return columns


def _columns_of_kind(rows: Sequence[Any]) -> Iterator[tuple[str, list[Any]]]:
    """The columns of structs of one type; of what is no struct there are none."""
    names = getattr(rows[0], "__struct_fields__", ()) if rows else ()
    for name in names:
        values = list(map(attrgetter(name), rows))
        kinds = set(map(type, values))
        if kinds <= _PLAIN:
            yield name, values
            continue
        inner = [kind for kind in kinds if issubclass(kind, msgspec.Struct)]
        if kinds - {*inner, msgspec.UnsetType} or not kinds:
            yield name, [None if _is_column(value) else _plain(value) for value in values]
        if inner:
            at = [place for place, value in enumerate(values) if isinstance(value, msgspec.Struct)]
            for below, part in _columns_of([values[place] for place in at]).items():
                column: list[Any] = [None] * len(rows)
                for place, value in zip(at, part):  # noqa: B905
                    column[place] = value
                yield f"{name}.{below}", column


_PLAIN = frozenset({str, int, float, bool, type(None), datetime})


def _is_column(value: object) -> bool:
    """Whether a value is not in its field's own column."""
    return value is msgspec.UNSET or isinstance(value, msgspec.Struct)


def _plain(value: Any) -> Any:
    """Structs within lists as plain data."""
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return dict(_flat(value)) if isinstance(value, msgspec.Struct) else value


def _flat(row: msgspec.Struct, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """A struct's fields by their names, those of inner structs too."""
    for name in row.__struct_fields__:
        value = getattr(row, name)
        if isinstance(value, msgspec.Struct):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is not msgspec.UNSET:
            yield prefix + name, _plain(value)


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
