"""Writes of a read model, carried out on rows in memory while it is built from nothing.

The rows of a training change hundreds of times, and the database has to store only the last ones.
The statements are those of the projection: they are interpreted, in these forms.

- an insert of a row, alone or with ON CONFLICT
- an insert of all `parameter_rows`
- an insert of what a query of one table returns, an update, or a delete: of rows that are chosen by
  the first column of the primary key, and by further conditions
- an update with inserts as common table expressions, such as those of `History`
"""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from psycopg.types.json import Jsonb
from sqlalchemy import (
    ARRAY,
    CTE,
    JSON,
    Column,
    Delete,
    Dialect,
    Executable,
    Insert,
    Select,
    Table,
    Update,
)
from sqlalchemy.dialects.postgresql.dml import OnConflictDoNothing, OnConflictDoUpdate
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BinaryExpression, BooleanClauseList, ColumnElement

from projections.engine.expressions import (
    NotUnderstood,
    Parameters,
    Row,
    Value,
    Values,
    all_of,
    encoded,
)
from projections.engine.read_model import ROWS, Write

Run = Callable[[Parameters], None]
Key = tuple[Any, ...]
Group = dict[Key, Row]
"""The rows with one value of the first column of the primary key, by the whole key."""


class TableRows:
    """The rows of a table: those with a primary key in groups, the least recently used first, and
    those that only join.

    `load` returns a group that was written to the database and forgotten.
    """

    def __init__(self, table: Table, load: "Callable[[TableRows, Any], Group]") -> None:
        self.table = table
        self.place = {column.name: place for place, column in enumerate(table.columns)}
        self.key = [self.place[column.name] for column in table.primary_key]
        self.groups: dict[Any, Group] = {}
        self.joined: list[Row] = []
        self.count = 0
        """The number of rows in groups."""
        self.is_stored = False
        """Whether the database has rows of it."""
        self._load = load

    def group(self, value: Any) -> Group:
        group = self.groups.pop(value, None)
        if group is None:
            group = self._load(self, value) if self.is_stored else {}
            self.count += len(group)
        self.groups[value] = group
        return group

    def key_of(self, row: Row) -> Key:
        return tuple([row[place] for place in self.key])

    def add(self, row: Row) -> None:
        if not self.key:
            self.joined.append(row)
            return
        key, group = self.key_of(row), self.group(row[self.key[0]])
        if key in group:
            raise ValueError(f"{self.table.name} has two rows with the key {key}")
        group[key] = row
        self.count += 1

    def forget(self, groups: int) -> list[Row]:
        """The rows of the least recently used groups, which are no longer kept."""
        forgotten = [self.groups.pop(value) for value in list(islice(self.groups, groups))]
        rows = [row for group in forgotten for row in group.values()]
        self.count -= len(rows)
        return rows


class Interpreter:
    """Carries out writes on the rows of tables; `rows_of` returns those of each."""

    def __init__(self, dialect: Dialect, rows_of: Callable[[Table], TableRows]) -> None:
        self._values = Values(dialect)
        self._rows_of = rows_of
        self._plans: dict[Executable, Run] = {}

    def run(self, write: Write) -> None:
        """Raises `NotUnderstood` before anything is changed."""
        run = self._plans.get(write.statement)
        if run is None:
            run = self._plans[write.statement] = self._plan(write.statement)
        run(write.parameters)

    def _plan(self, statement: Executable) -> Run:
        if getattr(statement, "_returning", ()):
            raise NotUnderstood(str(statement))
        if isinstance(statement, Insert):
            return self._insert(statement)
        if isinstance(statement, Update):
            return self._update(statement)
        if isinstance(statement, Delete) and not statement._independent_ctes:
            return self._delete(statement)
        raise NotUnderstood(str(statement))

    def _insert(self, statement: Insert) -> Run:
        if statement._independent_ctes or not isinstance(statement.table, Table):
            raise NotUnderstood(str(statement))
        if statement.select is not None:
            return self._insert_selected(statement)
        if statement._values or statement._multi_values:
            raise NotUnderstood(str(statement))
        rows = self._rows_of(statement.table)
        cells = [(column.name, self._values.adapter(column)) for column in statement.table.columns]

        def row_of(parameters: Parameters) -> Row:
            return [
                parameters[name] if adapt is None else adapt(parameters[name])
                for name, adapt in cells
            ]

        conflict = statement._post_values_clause
        if conflict is None:
            return lambda parameters: rows.add(row_of(parameters))
        return self._on_conflict(rows, row_of, conflict)

    def _on_conflict(
        self, rows: TableRows, row_of: Callable[[Parameters], Row], conflict: Any
    ) -> Run:
        """An insert that changes the row with the same key, if there is one, or leaves it."""
        if not isinstance(conflict, OnConflictDoUpdate | OnConflictDoNothing):
            raise NotUnderstood(str(conflict))
        key = [rows.table.columns[place].name for place in rows.key]
        targets: Any = conflict.inferred_target_elements or ()
        wanted = [each if isinstance(each, str) else each.name for each in targets]
        replaced: list[int] = []
        if isinstance(conflict, OnConflictDoUpdate):
            if conflict.update_whereclause is not None or conflict.inferred_target_whereclause:
                raise NotUnderstood(str(conflict))
            for name, value in conflict.update_values_to_set.items():
                is_new = isinstance(value, Column) and value.table is not rows.table
                if not is_new or value.name != name:
                    raise NotUnderstood(str(conflict))
                replaced.append(rows.place[value.name])
        if not key or wanted != key:
            raise NotUnderstood(str(conflict))

        def run(parameters: Parameters) -> None:
            row = row_of(parameters)
            present = rows.group(row[rows.key[0]]).get(rows.key_of(row))
            if present is None:
                rows.add(row)
            else:
                for place in replaced:
                    present[place] = row[place]

        return run

    def _insert_selected(self, statement: Insert) -> Run:
        query, table = statement.select, statement.table
        assert isinstance(table, Table)
        if not isinstance(query, Select) or statement._post_values_clause is not None:
            raise NotUnderstood(str(statement))
        rows = self._rows_of(table)
        if set(statement._select_names or ()) != set(rows.place):
            raise NotUnderstood(str(statement))
        [source, *others] = query.get_final_froms()
        if others or query._group_by_clauses or query._limit_clause is not None:
            raise NotUnderstood(str(statement))
        if isinstance(source, CTE):
            return self._insert_given(statement, query, source, rows)
        chosen = self._chosen(source, query.whereclause)
        assert isinstance(source, Table)
        order = {name: place for place, name in enumerate(statement._select_names or ())}
        selected = [self._values.of(each, source) for each in query.selected_columns]
        values = [selected[order[name]] for name in rows.place]

        def run(parameters: Parameters) -> None:
            for row in chosen(parameters):
                rows.add([value(row, parameters) for value in values])

        return run

    def _insert_given(
        self, statement: Insert, query: Select[Any], given: CTE, rows: TableRows
    ) -> Run:
        """An insert of `parameter_rows`, column by column."""
        names = [getattr(column, "name", None) for column in query.selected_columns]
        if names != statement._select_names or query.whereclause is not None:
            raise NotUnderstood(str(statement))
        if any(getattr(each, "table", None) is not given for each in query.selected_columns):
            raise NotUnderstood(str(statement))
        adapted = [
            (place, _document if isinstance(column.type, JSON) else list)
            for place, column in enumerate(rows.table.columns)
            if isinstance(column.type, JSON | ARRAY)
        ]

        def run(parameters: Parameters) -> None:
            for row in parameters[ROWS]:
                cells = [row.get(name) for name in rows.place]
                for place, adapt in adapted:
                    if cells[place] is not None:
                        cells[place] = adapt(cells[place])
                rows.add(cells)

        return run

    def _update(self, statement: Update) -> Run:
        table = statement.table
        if not isinstance(table, Table) or not statement._values:
            raise NotUnderstood(str(statement))
        chosen = self._chosen(table, statement.whereclause)
        rows, first = self._rows_of(table), []
        for cte in statement._independent_ctes:
            if not isinstance(cte, CTE) or not isinstance(cte.element, Insert):
                raise NotUnderstood(str(statement))
            # It reads the rows as they are before the update.
            first.append(self._insert(cte.element))
        values = [
            (
                rows.place[name if isinstance(name, str) else name.name],
                self._values.of(value, table),
            )
            for name, value in statement._values.items()
        ]
        if {place for place, _ in values} & set(rows.key):
            raise NotUnderstood(str(statement))

        def run(parameters: Parameters) -> None:
            for insert in first:
                insert(parameters)
            for row in chosen(parameters):
                new = [(place, value(row, parameters)) for place, value in values]
                for place, cell in new:
                    row[place] = cell

        return run

    def _delete(self, statement: Delete) -> Run:
        assert isinstance(statement.table, Table)
        chosen = self._chosen(statement.table, statement.whereclause)
        rows = self._rows_of(statement.table)

        def run(parameters: Parameters) -> None:
            for row in chosen(parameters):
                del rows.group(row[rows.key[0]])[rows.key_of(row)]
                rows.count -= 1

        return run

    def _chosen(
        self, table: Any, where: ColumnElement[Any] | None
    ) -> Callable[[Parameters], Sequence[Row]]:
        """The rows of a table that meet a condition on the first column of its key, and others."""
        if not isinstance(table, Table) or where is None or not len(table.primary_key):
            raise NotUnderstood(f"all rows of {table}")
        rows = self._rows_of(table)
        first = next(iter(table.primary_key))
        keys: list[Value] = []
        others: list[Value] = []
        for clause in _conjunction(where):
            if not keys and _is_equality(clause) and clause.left is first:
                keys.append(self._values.of(clause.right, None))
            else:
                others.append(self._values.of(clause, table))
        if not keys:
            raise NotUnderstood(str(where))
        key = keys[0]

        met = all_of(others) if others else None

        def chosen(parameters: Parameters) -> Sequence[Row]:
            group = rows.group(key([], parameters)).values()
            if met is None:
                return list(group)
            return [row for row in group if met(row, parameters)]

        return chosen


def _document(value: Any) -> Jsonb | None:
    return encoded(Jsonb(value))


def _conjunction(where: ColumnElement[Any]) -> list[Any]:
    if isinstance(where, BooleanClauseList) and where.operator is operators.and_:
        return [clause for each in where.clauses for clause in _conjunction(each)]
    return [where]


def _is_equality(clause: Any) -> bool:
    return isinstance(clause, BinaryExpression) and clause.operator is operators.eq
