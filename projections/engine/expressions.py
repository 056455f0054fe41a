"""Expressions of SQL, evaluated on a row in memory."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from psycopg.types.json import Jsonb
from sqlalchemy import JSON, BindParameter, Column, Dialect, Table
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import (
    BinaryExpression,
    BooleanClauseList,
    False_,
    Grouping,
    Null,
    True_,
)
from sqlalchemy.sql.functions import FunctionElement

Row = list[Any]
"""A row's cells, in the order of the table's columns."""

Parameters = dict[str, Any]
Value = Callable[[Row, Parameters], Any]


class NotUnderstood(Exception):
    """A statement or expression has a form that is not interpreted."""


class Values:
    """Functions that return an expression's value for a row and parameters. NULL is None."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def of(self, expression: Any, table: Table | None) -> Value:
        """Raises `NotUnderstood`."""
        value = partial(self.of, table=table)
        match expression:
            case None | Null():
                return lambda _row, _parameters: None
            case True_():
                return lambda _row, _parameters: True
            case False_():
                return lambda _row, _parameters: False
            case Column() if table is not None and expression.table is table:
                place = list(table.columns).index(expression)
                return lambda row, _parameters: row[place]
            case BindParameter():
                return self._parameter(expression)
            case Grouping():
                return value(expression.element)
            case BooleanClauseList() if expression.operator is operators.and_:
                return all_of([value(clause) for clause in expression.clauses])
            case FunctionElement(name="coalesce"):
                options = [value(option) for option in expression.clauses]
                return lambda row, parameters: next(
                    (found for each in options if (found := each(row, parameters)) is not None),
                    None,
                )
            case BinaryExpression():
                left, right = value(expression.left), value(expression.right)
                return _binary(expression.operator, left, right)
        raise NotUnderstood(str(expression))

    def adapter(self, typed: Column[Any] | BindParameter[Any]) -> Callable[[Any], Any] | None:
        """What converts values for psycopg, as it does for statements that are sent."""
        adapt = typed.type.dialect_impl(self._dialect).bind_processor(self._dialect)
        if adapt is None or not isinstance(typed.type, JSON):
            return adapt
        return lambda value: encoded(adapt(value))

    def _parameter(self, parameter: BindParameter[Any]) -> Value:
        adapt = self.adapter(parameter)
        if not parameter.required:
            constant = parameter.value if adapt is None else adapt(parameter.value)
            return lambda _row, _parameters: constant
        name = parameter.key
        if adapt is None:
            return lambda _row, parameters: parameters[name]
        return lambda _row, parameters: adapt(parameters[name])


def encoded(document: Jsonb | None) -> Jsonb | None:
    """The document with its text, so that it is encoded once, in however many rows it is."""
    return None if document is None else Jsonb(json.dumps(document.obj), dumps=str)


def all_of(conditions: Sequence[Value]) -> Value:
    if len(conditions) == 1:
        return conditions[0]
    if len(conditions) == 2:
        first, second = conditions
        return lambda row, parameters: first(row, parameters) and second(row, parameters)
    return lambda row, parameters: all(met(row, parameters) for met in conditions)


def _binary(operator: Any, left: Value, right: Value) -> Value:
    """Three-valued logic: a comparison with NULL is not met, and a sum with NULL is NULL."""
    if operator is operators.is_:
        return lambda row, parameters: left(row, parameters) is right(row, parameters)
    compute = _OPERATORS.get(operator)
    if compute is None:
        raise NotUnderstood(f"the operator {operator}")

    def value(row: Row, parameters: Parameters) -> Any:
        mine, other = left(row, parameters), right(row, parameters)
        return None if mine is None or other is None else compute(mine, other)

    return value


_OPERATORS: dict[Any, Callable[[Any, Any], Any]] = {
    operators.eq: operators.eq,
    operators.ne: operators.ne,
    operators.lt: operators.lt,
    operators.add: operators.add,
}
