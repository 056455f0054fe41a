"""Folding of a page's writes: the writes that change one row become one.

A training changes its version's rows hundreds of times in a page, and a rebuild needs only the
final values. Statements of other forms than those parsed here are executed in their order, after
all writes before them.
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

SET, SET_IF_NOT_NULL, KEEP_IF_NOT_NULL = "set", "coalesce(value, column)", "coalesce(column, value)"


class _Assignment(NamedTuple):
    """An assignment to a column, of the parameter with this name or, if None, of the constant."""

    column: str
    mode: str
    parameter: str | None
    constant: Any


class _Statement(NamedTuple):
    """A parsed update of rows by key columns, and the parameters for these; or an insert of a row,
    which has no assignments."""

    table: Table
    columns: tuple[str, ...]
    parameters: tuple[str, ...]
    assignments: tuple[_Assignment, ...]


class _Row(NamedTuple):
    """A row to insert with a statement, or to update; `modes` are SET or KEEP_IF_NOT_NULL."""

    insert: Executable | None
    values: dict[str, Any]
    modes: dict[str, str]


def fold(writes: Iterable[Write]) -> Iterator[Write]:
    """Fewer writes with the same result."""
    tables: dict[Table, _PendingRows] = {}
    for write in writes:
        statement = _parse(write.statement)
        if statement is None:
            for rows in tables.values():
                yield from rows.flush()
            yield write
            continue
        table, columns, parameters, assignments = statement
        rows = tables.setdefault(table, _PendingRows(table))
        key = tuple([write.parameters[name] for name in parameters])
        if rows.columns != columns or (not assignments and key in rows.by_key):
            yield from rows.flush()
            rows.columns = columns
        if assignments:
            rows.change(key, assignments, write.parameters)
        else:
            rows.by_key[key] = _Row(write.statement, dict(write.parameters), {})
    for rows in tables.values():
        yield from rows.flush()


class _PendingRows:
    """Rows of a table to be written, by the values of `columns`."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.columns: tuple[str, ...] = ()
        self.by_key: dict[tuple[Any, ...], _Row] = {}

    def change(
        self,
        key: tuple[Any, ...],
        assignments: tuple[_Assignment, ...],
        parameters: dict[str, Any],
    ) -> None:
        row = self.by_key.get(key)
        if row is None:
            row = self.by_key[key] = _Row(None, {}, {})
        _, values, modes = row
        for column, mode, parameter, constant in assignments:
            value = constant if parameter is None else parameters[parameter]
            if mode is SET or (mode is SET_IF_NOT_NULL and value is not None):
                values[column] = value
                modes[column] = SET
            elif mode is KEEP_IF_NOT_NULL and values.get(column) is None:
                if column not in values:
                    modes[column] = KEEP_IF_NOT_NULL
                values[column] = value

    def flush(self) -> Iterator[Write]:
        for key, (insert, values, modes) in self.by_key.items():
            if insert is not None:
                yield Write(insert, values)
            elif values:
                statement = _update(self.table, self.columns, tuple(modes.items()))
                keys = zip(self.columns, key, strict=True)
                yield Write(
                    statement,
                    {f"key_{name}": value for name, value in keys}
                    | {f"to_{name}": value for name, value in values.items()},
                )
        self.by_key.clear()


@lru_cache(maxsize=1024)
def _update(
    table: Table, columns: tuple[str, ...], modes: tuple[tuple[str, str], ...]
) -> Executable:
    values: dict[str, Any] = {}
    for name, mode in modes:
        value = bindparam(f"to_{name}", type_=table.c[name].type)
        values[name] = value if mode is SET else func.coalesce(table.c[name], value)
    key = [table.c[name] == bindparam(f"key_{name}") for name in columns]
    return update(table).where(and_(*key)).values(values)


@lru_cache(maxsize=1024)
def _parse(statement: Executable) -> _Statement | None:
    """The parsed statement; None for all other forms."""
    if isinstance(statement, Insert):
        return _insert_of_a_row(statement)
    if not isinstance(statement, Update) or statement._independent_ctes or statement._returning:
        return None
    table, where = statement.table, statement.whereclause
    if not isinstance(table, Table) or where is None or not statement._values:
        return None
    clauses = [_equality(clause, table) for clause in _conjunction(where)]
    values = [_assignment(table, column, value) for column, value in statement._values.items()]
    if None in clauses or None in values:
        return None
    keys = tuple(key for key in clauses if key is not None)
    assignments = tuple(assignment for assignment in values if assignment is not None)
    key_columns = {column for column, _ in keys} | {column.name for column in table.primary_key}
    if key_columns & {assignment.column for assignment in assignments}:
        return None
    return _Statement(
        table,
        tuple(column for column, _ in keys),
        tuple(parameter for _, parameter in keys),
        assignments,
    )


def _insert_of_a_row(statement: Insert) -> _Statement | None:
    plain = statement.select is None and statement._post_values_clause is None
    extras = (
        statement._values,
        statement._multi_values,
        statement._returning,
        statement._independent_ctes,
    )
    keys = tuple(column.name for column in statement.table.primary_key)
    if not plain or any(extras) or not keys or not isinstance(statement.table, Table):
        return None
    return _Statement(statement.table, keys, keys, ())


def _conjunction(where: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    return list(where.clauses) if isinstance(where, BooleanClauseList) else [where]


def _equality(clause: ColumnElement[Any], table: Table) -> tuple[str, str] | None:
    if not isinstance(clause, BinaryExpression) or clause.operator is not eq:
        return None
    left, right = clause.left, clause.right
    if not isinstance(left, Column) or left.table is not table:
        return None
    if not isinstance(right, BindParameter) or not right.required:
        return None
    return left.name, right.key


def _assignment(table: Table, column: str | ColumnElement[Any], value: Any) -> _Assignment | None:
    name = column if isinstance(column, str) else str(column.key)
    mode = SET
    if isinstance(value, FunctionElement) and value.name == "coalesce":
        sides = list(value.clauses)
        own = [isinstance(side, Column) and side in {table.c[name]} for side in sides]
        if own == [True, False]:
            mode, value = KEEP_IF_NOT_NULL, sides[1]
        elif own == [False, True]:
            mode, value = SET_IF_NOT_NULL, sides[0]
    if value is None or isinstance(value, str | int | float | bool):
        return _Assignment(name, mode, None, value)
    if not isinstance(value, BindParameter):
        return None
    if not value.required:
        return _Assignment(name, mode, None, value.value)
    # A JSON parameter may represent NULL differently from its column.
    return None if isinstance(value.type, JSON) else _Assignment(name, mode, value.key, None)
