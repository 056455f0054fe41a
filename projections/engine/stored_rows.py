"""The rows of a read model that is built from nothing: in memory, and by COPY in the database.

Of tables with very many rows, the least recently used ones are stored before the end, and read
again where an event changes them.
"""

from collections.abc import Sequence
from itertools import chain
from struct import pack
from typing import Any

import psycopg
from psycopg import sql
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types.json import Jsonb
from sqlalchemy import JSON, Engine, Table

from projections.engine.expressions import Row
from projections.engine.in_memory import Group, Interpreter, TableRows
from projections.engine.read_model import ReadModel, Write
from projections.engine.statistics import schema_of

MOST_ROWS = 100_000
"""Rows of a read model in memory; with more, half of those that can change are stored."""

MOST_JOINED = 10_000
"""Rows of a table in memory that nothing changes any more."""


class _Numbers(Dumper):
    """Dumps a list of numbers for COPY; psycopg's own, for arrays of any kind, takes six times as
    long."""

    format = Format.BINARY
    element, code, size = 0, "", 0

    def dump(self, obj: Sequence[float]) -> bytes:
        # As array_recv reads it: dimensions, whether there are NULLs, the type of elements, and
        # of each dimension its length and lower bound; then each element with its length.
        cells = chain.from_iterable((self.size, number) for number in obj)
        count = len(obj)
        if not count:
            return pack("!iii", 0, 0, self.element)
        return pack(f"!iiiii{f'i{self.code}' * count}", 1, 0, self.element, count, 1, *cells)


class _Doubles(_Numbers):
    oid = psycopg.adapters.types["float8"].array_oid
    element, code, size = psycopg.adapters.types["float8"].oid, "d", 8


class _Integers(_Numbers):
    oid = psycopg.adapters.types["int4"].array_oid
    element, code, size = psycopg.adapters.types["int4"].oid, "i", 4


class StoredRows:
    """The rows of a read model in a schema that nobody else writes to."""

    def __init__(self, beside: Engine, read_model: ReadModel) -> None:
        self._beside = beside
        self._schema = schema_of(beside)
        self._types: dict[Table, list[int]] = {}
        self._tables = {
            table: TableRows(table, self._load) for table in read_model.metadata.sorted_tables
        }
        self._interpreter = Interpreter(beside.dialect, self._tables.__getitem__)

    def run(self, write: Write) -> None:
        """Carry out a write. Raises `NotUnderstood`: then it has to be done by the database,
        after `store`, and this object must not be used any more."""
        self._interpreter.run(write)

    def make_room(self) -> None:
        """Store rows, if there are many in memory."""
        for rows in self._tables.values():
            if len(rows.joined) > MOST_JOINED:
                self._copy(rows, rows.joined)
                rows.joined.clear()
        if sum(rows.count for rows in self._tables.values()) > MOST_ROWS:
            for rows in self._tables.values():
                self._copy(rows, rows.forget(len(rows.groups) // 2))

    def store(self) -> None:
        """Store all rows."""
        for rows in self._tables.values():
            self._copy(rows, rows.joined)
            rows.joined.clear()
            self._copy(rows, rows.forget(len(rows.groups)))

    def _copy(self, rows: TableRows, some: Sequence[Row]) -> None:
        if not some:
            return
        rows.is_stored = True
        with self._beside.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            names = sql.SQL(", ").join(map(sql.Identifier, rows.place))
            statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
                self._name(rows.table), names
            )
            types = self._types_of(driver, rows.table)
            with driver.cursor() as cursor, self._fast(cursor).copy(statement) as copy:
                copy.set_types(types)
                for row in some:
                    copy.write_row(row)

    @staticmethod
    def _fast(cursor: psycopg.Cursor) -> psycopg.Cursor:
        for dumper in (_Doubles, _Integers):
            cursor.adapters.register_dumper(list, dumper)
        return cursor

    def _load(self, rows: TableRows, value: Any) -> Group:
        """A group that was stored; it is in memory alone from then on."""
        first = rows.table.columns[rows.key[0]].name
        documents = [isinstance(column.type, JSON) for column in rows.table.columns]
        columns = [
            sql.SQL("{}::text" if is_document else "{}").format(sql.Identifier(name))
            for name, is_document in zip(rows.place, documents, strict=True)
        ]
        statement = sql.SQL("DELETE FROM {} WHERE {} = %s RETURNING {}").format(
            self._name(rows.table), sql.Identifier(first), sql.SQL(", ").join(columns)
        )
        with self._beside.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            loaded = driver.execute(statement, [value], prepare=True).fetchall()
        return {rows.key_of(row): row for row in (_row(cells, documents) for cells in loaded)}

    def _name(self, table: Table) -> sql.Identifier:
        return sql.Identifier(self._schema, table.name)

    def _types_of(self, driver: psycopg.Connection, table: Table) -> Sequence[int]:
        if table not in self._types:
            query = "SELECT attname, atttypid FROM pg_attribute WHERE attrelid = %s::regclass"
            rows = driver.execute(query, [self._name(table).as_string(driver)]).fetchall()
            oids: dict[str, int] = dict(rows)
            self._types[table] = [oids[column.name] for column in table.columns]
        return self._types[table]


def _row(cells: Sequence[Any], documents: Sequence[bool]) -> Row:
    """The cells with JSON as it came, so that JSON's null stays apart from NULL."""
    return [
        Jsonb(cell, dumps=str) if is_document and cell is not None else cell
        for cell, is_document in zip(cells, documents, strict=True)
    ]
