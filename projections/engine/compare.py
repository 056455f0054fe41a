"""Comparison of tables in two schemas, row by row in the database; only counts and a few rows are
fetched."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, text

from projections.engine.read_model import SCHEMA, ReadModel

MAX_ROWS = 10

Values = dict[str, Any]


class RowDifference(msgspec.Struct, frozen=True):
    """A row that differs between two tables; it is None in the table that lacks it.

    `key` identifies the row. Of a row that is in both tables, only the columns that differ are
    included.
    """

    key: Values
    live: Values | None
    replayed: Values | None


class Difference(msgspec.Struct, frozen=True):
    """The numbers of rows that only the live table has, and that only the replayed one has.

    `rows` are the first of these rows.
    """

    table: str
    only_live: int
    only_replayed: int
    rows: list[RowDifference]


class Digest(msgspec.Struct, frozen=True):
    """A digest of a table's rows, independent of their order."""

    table: str
    rows: int
    sha256: str


def differences(connection: Connection, read_model: ReadModel, schema: str) -> list[Difference]:
    """The tables of a read model that differ between the live schema and another one."""
    connection.execute(text("SET LOCAL work_mem = '64MB'"))
    compared = [_compare(connection, table, schema) for table in read_model.metadata.sorted_tables]
    return [difference for difference in compared if difference.rows]


def digests(connection: Connection, read_model: ReadModel, schema: str) -> list[Digest]:
    """A digest of each table: the sum of the sha256 of its rows, modulo 2**256."""
    connection.execute(text("SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO'"))
    connection.execute(text("SET LOCAL extra_float_digits = 1; SET LOCAL intervalstyle = postgres"))
    result = []
    for table in read_model.metadata.sorted_tables:
        row_hash = "('0x' || encode(sha256(convert_to(r::text, 'UTF8')), 'hex'))::numeric"
        query = f'SELECT count(*), coalesce(sum({row_hash}), 0) FROM {schema}."{table.name}" r'
        rows, total = connection.execute(text(query)).one()
        result.append(Digest(table.name, rows, f"{int(total) % 2**256:064x}"))
    return result


def _compare(connection: Connection, table: Table, schema: str) -> Difference:
    keys = _keys(table)
    listed = ", ".join(f'"{key}"' for key in keys)
    live_name, replayed_name = f'{SCHEMA}."{table.name}"', f'{schema}."{table.name}"'
    # Rows with the same key are paired; if a key is not unique, in the order of their text.
    query = f"""
        WITH live AS MATERIALIZED
                 (SELECT * FROM {live_name} EXCEPT ALL SELECT * FROM {replayed_name}),
             replayed AS MATERIALIZED
                 (SELECT * FROM {replayed_name} EXCEPT ALL SELECT * FROM {live_name}),
             l AS (SELECT {listed}, to_jsonb(live) AS l_row, row_number() OVER
                   (PARTITION BY {listed} ORDER BY live::text) AS nth FROM live),
             r AS (SELECT {listed}, to_jsonb(replayed) AS r_row, row_number() OVER
                   (PARTITION BY {listed} ORDER BY replayed::text) AS nth FROM replayed)
        SELECT (SELECT count(*) FROM live), (SELECT count(*) FROM replayed), l_row, r_row
        FROM l FULL JOIN r USING ({listed}, nth) ORDER BY {listed}, nth LIMIT {MAX_ROWS}
    """
    result = connection.execute(text(query)).all()
    if not result:
        return Difference(table.name, 0, 0, [])
    rows = [_row(keys, live, replayed) for _, _, live, replayed in result]
    return Difference(table.name, result[0][0], result[0][1], rows)


def _row(keys: Sequence[str], live: Values | None, replayed: Values | None) -> RowDifference:
    key = {name: (live or replayed or {})[name] for name in keys}
    if live is not None and replayed is not None:
        changed = [name for name in live if live[name] != replayed[name]]
        live = {name: live[name] for name in changed}
        replayed = {name: replayed[name] for name in changed}
    return RowDifference(key, live, replayed)


def _keys(table: Table) -> list[str]:
    """The columns of the primary key, or else of an index, or else all columns."""
    indexes = sorted(table.indexes, key=lambda index: str(index.name))
    for columns in (table.primary_key.columns, *(i.columns for i in indexes), table.columns):
        if keys := [column.name for column in columns if not column.nullable]:
            return keys
    return [column.name for column in table.columns]
