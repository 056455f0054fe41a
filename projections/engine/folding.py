"""The writes of a page made fewer: those that change one row become one.

A training changes its version's rows hundreds of times in a page, and whoever builds a read model
anew needs only the last of it. Statements of other forms than those understood here are carried
out in their place, after all that came before them.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BindParameter,
    Column,
    Executable,
    Insert,
    Table,
    Update,
    and_,
    bindparam,
    func,
    update,
)
from sqlalchemy.sql.elements import BinaryExpression, BooleanClauseList, ColumnElement
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import eq
from sqlalchemy.types import JSON

from projections.engine.read_model import Write

SET, SET_IF_GIVEN, KEEP_IF_THERE = "set", "coalesce(given, column)", "coalesce(column, given)"


class _Given(NamedTuple):
    """What a statement does to a column: with a parameter of this name or, without, a constant."""

    column: str
    how: str
    parameter: str | None
    constant: Any


class _Keyed(NamedTuple):
    """An update of the rows that some columns tell, by the parameters for them."""

    table: Table
    columns: tuple[str, ...]
    parameters: tuple[str, ...]
    given: tuple[_Given, ...]


class _Row(NamedTuple):
    """A row to be inserted by a statement, or changed; `hows` are SET or KEEP_IF_THERE."""

    insert: Executable | None
    values: dict[str, Any]
    hows: dict[str, str]


def fold(writes: Iterable[Write]) -> Iterator[Write]:
    """Writes that come to the same as all those given, in fewer."""
    tables: dict[Table, _Rows] = {}
    for write in writes:
        shape = _shape(write.statement)
        if shape is None:
            for rows in tables.values():
                yield from rows.flush()
            yield write
            continue
        table, columns, parameters, given = shape
        rows = tables.setdefault(table, _Rows(table))
        key = tuple([write.parameters[name] for name in parameters])
        if rows.columns != columns or (not given and key in rows.found):
            yield from rows.flush()
            rows.columns = columns
        if given:
            rows.change(key, given, write.parameters)
        else:
            rows.found[key] = _Row(write.statement, dict(write.parameters), {})
    for rows in tables.values():
        yield from rows.flush()


class _Rows:
    """Rows of a table that wait to be written, by the values of `columns`."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.columns: tuple[str, ...] = ()
        self.found: dict[tuple[Any, ...], _Row] = {}

    def change(
        self, key: tuple[Any, ...], given: tuple[_Given, ...], parameters: dict[str, Any]
    ) -> None:
        row = self.found.get(key)
        if row is None:
            row = self.found[key] = _Row(None, {}, {})
        _, values, hows = row
        for column, how, parameter, constant in given:
            value = constant if parameter is None else parameters[parameter]
            if how is SET or (how is SET_IF_GIVEN and value is not None):
                values[column] = value
                hows[column] = SET
            elif how is KEEP_IF_THERE and values.get(column) is None:
                if column not in values:
                    hows[column] = KEEP_IF_THERE
                values[column] = value

    def flush(self) -> Iterator[Write]:
        for key, (insert, values, hows) in self.found.items():
            if insert is not None:
                yield Write(insert, values)
            elif values:
                statement = _update(self.table, self.columns, tuple(hows.items()))
                keys = zip(self.columns, key, strict=True)
                yield Write(
                    statement,
                    {f"key_{name}": value for name, value in keys}
                    | {f"to_{name}": value for name, value in values.items()},
                )
        self.found.clear()


@lru_cache(maxsize=1024)
def _update(
    table: Table, columns: tuple[str, ...], hows: tuple[tuple[str, str], ...]
) -> Executable:
    values: dict[str, Any] = {}
    for name, how in hows:
        given = bindparam(f"to_{name}", type_=table.c[name].type)
        values[name] = given if how is SET else func.coalesce(table.c[name], given)
    same = [table.c[name] == bindparam(f"key_{name}") for name in columns]
    return update(table).where(and_(*same)).values(values)


@lru_cache(maxsize=1024)
def _shape(statement: Executable) -> _Keyed | None:
    """An update as above, or an insert of a row, which gives no columns; None for all others."""
    if isinstance(statement, Insert):
        return _insert_of_a_row(statement)
    if not isinstance(statement, Update) or statement._independent_ctes or statement._returning:
        return None
    table, where = statement.table, statement.whereclause
    if not isinstance(table, Table) or where is None or not statement._values:
        return None
    key = [_equal(clause, table) for clause in _conjunction(where)]
    given = [_given(table, column, value) for column, value in statement._values.items()]
    if None in key or None in given:
        return None
    keys = tuple(one for one in key if one is not None)
    telling = {column for column, _ in keys} | {column.name for column in table.primary_key}
    if telling & {one.column for one in given if one is not None}:
        return None
    return _Keyed(
        table,
        tuple(column for column, _ in keys),
        tuple(parameter for _, parameter in keys),
        tuple(one for one in given if one is not None),
    )


def _insert_of_a_row(statement: Insert) -> _Keyed | None:
    alone = statement.select is None and statement._post_values_clause is None
    with_more = (
        statement._values,
        statement._multi_values,
        statement._returning,
        statement._independent_ctes,
    )
    keys = tuple(column.name for column in statement.table.primary_key)
    if not alone or any(with_more) or not keys or not isinstance(statement.table, Table):
        return None
    return _Keyed(statement.table, keys, keys, ())


def _conjunction(where: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    return list(where.clauses) if isinstance(where, BooleanClauseList) else [where]


def _equal(clause: ColumnElement[Any], table: Table) -> tuple[str, str] | None:
    if not isinstance(clause, BinaryExpression) or clause.operator is not eq:
        return None
    left, right = clause.left, clause.right
    if not isinstance(left, Column) or left.table is not table:
        return None
    if not isinstance(right, BindParameter) or not right.required:
        return None
    return left.name, right.key


def _given(table: Table, column: str | ColumnElement[Any], value: Any) -> _Given | None:
    name = column if isinstance(column, str) else str(column.key)
    how = SET
    if isinstance(value, FunctionElement) and value.name == "coalesce":
        sides = list(value.clauses)
        own = [isinstance(side, Column) and side in {table.c[name]} for side in sides]
        if own == [True, False]:
            how, value = KEEP_IF_THERE, sides[1]
        elif own == [False, True]:
            how, value = SET_IF_GIVEN, sides[0]
    if value is None or isinstance(value, str | int | float | bool):
        return _Given(name, how, None, value)
    if not isinstance(value, BindParameter):
        return None
    if not value.required:
        return _Given(name, how, None, value.value)
    # How such a parameter says that there is nothing may not be how its column does.
    return None if isinstance(value.type, JSON) else _Given(name, how, value.key, None)
