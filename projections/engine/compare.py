"""Tables of two schemas compared row by row, in the database: here arrive counts and a few rows."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, text

from projections.engine.read_model import SCHEMA, ReadModel

SHOWN = 10

Values = dict[str, Any]


class RowDifference(msgspec.Struct, frozen=True):
    """A row that is not the same on both sides, None where it is missing.

    `key` tells which row it is; of a row that is on both sides, only what differs is given.
    """

    key: Values
    live: Values | None
    replayed: Values | None


class Difference(msgspec.Struct, frozen=True):
    """How many rows of a table only the live one has, and how many only the replayed one.

    `rows` are the first of them.
    """

    table: str
    only_live: int
    only_replayed: int
    rows: list[RowDifference]


class Digest(msgspec.Struct, frozen=True):
    """What a table holds, whatever the order of its rows."""

    table: str
    rows: int
    sha256: str


def differences(connection: Connection, read_model: ReadModel, schema: str) -> list[Difference]:
    """The tables of a read model that are not the same live and in another schema."""
    connection.execute(text("SET LOCAL work_mem = '64MB'"))
    found = [_compare(connection, table, schema) for table in read_model.metadata.sorted_tables]
    return [one for one in found if one.rows]


def digests(connection: Connection, read_model: ReadModel, schema: str) -> list[Digest]:
    """A digest of each table: the sum of the sha256 of its rows, modulo 2**256."""
    connection.execute(text("SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO'"))
    connection.execute(text("SET LOCAL extra_float_digits = 1; SET LOCAL intervalstyle = postgres"))
    found = []
    for table in read_model.metadata.sorted_tables:
        row_hash = "('0x' || encode(sha256(convert_to(one::text, 'UTF8')), 'hex'))::numeric"
        query = f'SELECT count(*), coalesce(sum({row_hash}), 0) FROM {schema}."{table.name}" one'
        rows, total = connection.execute(text(query)).one()
        found.append(Digest(table.name, rows, f"{int(total) % 2**256:064x}"))
    return found


def _compare(connection: Connection, table: Table, schema: str) -> Difference:
    keys = _keys(table)
    listed = ", ".join(f'"{key}"' for key in keys)
    mine, other = f'{SCHEMA}."{table.name}"', f'{schema}."{table.name}"'
    # Rows of the same key are paired; where a key is not unique, in the order of all they hold.
    query = f"""
        WITH live AS MATERIALIZED (SELECT * FROM {mine} EXCEPT ALL SELECT * FROM {other}),
             replayed AS MATERIALIZED (SELECT * FROM {other} EXCEPT ALL SELECT * FROM {mine}),
             l AS (SELECT {listed}, to_jsonb(live) AS l_row, row_number() OVER
                   (PARTITION BY {listed} ORDER BY live::text) AS nth FROM live),
             r AS (SELECT {listed}, to_jsonb(replayed) AS r_row, row_number() OVER
                   (PARTITION BY {listed} ORDER BY replayed::text) AS nth FROM replayed)
        SELECT (SELECT count(*) FROM live), (SELECT count(*) FROM replayed), l_row, r_row
        FROM l FULL JOIN r USING ({listed}, nth) ORDER BY {listed}, nth LIMIT {SHOWN}
    """
    found = connection.execute(text(query)).all()
    if not found:
        return Difference(table.name, 0, 0, [])
    rows = [_row(keys, live, replayed) for _, _, live, replayed in found]
    return Difference(table.name, found[0][0], found[0][1], rows)


def _row(keys: Sequence[str], live: Values | None, replayed: Values | None) -> RowDifference:
    key = {name: (live or replayed or {})[name] for name in keys}
    if live is not None and replayed is not None:
        changed = [name for name in live if live[name] != replayed[name]]
        live = {name: live[name] for name in changed}
        replayed = {name: replayed[name] for name in changed}
    return RowDifference(key, live, replayed)


def _keys(table: Table) -> list[str]:
    """The primary key, or what an index finds rows by; all columns, where there is neither."""
    indexes = sorted(table.indexes, key=lambda index: str(index.name))
    for columns in (table.primary_key.columns, *(one.columns for one in indexes), table.columns):
        if keys := [column.name for column in columns if not column.nullable]:
            return keys
    return [column.name for column in table.columns]
