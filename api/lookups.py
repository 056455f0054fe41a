"""Queries in one round trip: their rows, the position of their read models, and whether the proof
of the caller holds, all of one snapshot."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Dialect

from api.caller_proof import CallerChanged, Proof
from application.log.recorder import Rows
from application.log.store import Store
from projections.engine.read_model import ReadModel, Write
from projections.engine.writes import compile_write

_KNOWN = (
    "SELECT min(position), count(*), {condition} FROM read.positions WHERE read_model IN ({names})"
)
_WITH_ROWS = "SELECT known.*, found.* FROM ({known}) AS known LEFT JOIN ({query}) AS found ON true"
_WIDTH = 3
"""The columns of `_KNOWN`."""


class Found(NamedTuple):
    """The rows of each query, and the position that they reflect; None where a read model is not
    built in this database."""

    rows: Sequence[Rows]
    position: int | None


def look_up(
    store: Store,
    dialect: Dialect,
    queries: Sequence[Write],
    read_models: Sequence[ReadModel],
    proof: Proof | None,
) -> Found:
    """Run queries, and compare the proof. Raises `CallerChanged`.

    A single query is one statement without a transaction; its first column must never be null.
    """
    condition, parameters = ("true", []) if proof is None else proof.condition()
    names = tuple(dict.fromkeys(read_model.name for read_model in read_models))
    prepared = [_prepared(query, dialect) for query in queries]
    if len(prepared) == 1:
        [(sql, values)] = prepared
        rows = store.query(_statement(names, condition, sql), [*parameters, *values])
        known = rows[0][:_WIDTH]
        found = [[] if rows[0][_WIDTH] is None else [row[_WIDTH:] for row in rows]]
    else:
        of_known = _statement(names, condition), parameters
        [[known], *found] = store.query_each([of_known, *prepared])
    position, count, stands = known
    if not stands:
        raise CallerChanged
    if proof is not None:
        proof.holds = True
    return Found(found, int(position) if count == len(names) else None)


def _prepared(query: Write, dialect: Dialect) -> tuple[bytes, Sequence[Any]]:
    compiled = compile_write(query.statement, tuple(query.parameters), (), dialect)
    return compiled.sql, compiled.values(query.parameters)


@lru_cache(maxsize=1024)
def _statement(names: Sequence[str], condition: str, query: bytes | None = None) -> bytes:
    listed = ", ".join(f"'{name}'" for name in names)
    known = _KNOWN.format(condition=condition, names=listed)
    if query is None:
        return known.encode()
    return _WITH_ROWS.format(known=known, query=query.decode()).encode()
