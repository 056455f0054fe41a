"""What a read model is: tables, and what each event writes to them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    CTE,
    BigInteger,
    Column,
    DateTime,
    Executable,
    MetaData,
    Table,
    Text,
    bindparam,
    cast,
    column,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.types import TypeEngine

from domain.event import Recorded

SCHEMA = "read"
CHANNEL = "stemma_read"
"""Notified with the new position whenever a read model has moved on."""


class Write(NamedTuple):
    """A statement, made once for all events, with its parameters."""

    statement: Executable
    parameters: dict[str, Any]


class ReadModel(msgspec.Struct, frozen=True):
    """A read model under its versioned name: a changed one is a new name, built beside the old.

    `project` is pure: what a page of events writes, given all that came before it. However the log
    is cut into pages, the rows come out the same. `names` are beginnings of the names of the events
    that it writes anything for: a rebuild reads no others.
    """

    name: str
    metadata: MetaData
    project: Callable[[Sequence[Recorded]], Iterable[Write]]
    names: tuple[str, ...] = ("",)


def given_rows(**columns: type[TypeEngine[Any]] | TypeEngine[Any]) -> CTE:
    """Rows that a statement takes as one JSON parameter: many cost little more than one."""
    given = func.json_to_recordset(cast(bindparam("rows", type_=Text), JSON)).table_valued(
        *(column(name, kind) for name, kind in columns.items())
    )
    return select(*given.render_derived(name="given", with_types=True).c).cte("rows")


def write_rows(statement: Executable, rows: Sequence[Mapping[str, Any]]) -> Iterator[Write]:
    """A statement over `given_rows`, if there are any."""
    if rows:
        yield Write(statement, {"rows": msgspec.json.encode(rows).decode()})


def event_by_event(
    project: Callable[[Recorded], Iterable[Write]],
) -> Callable[[Sequence[Recorded]], Iterator[Write]]:
    """Pages projected by what each of their events writes."""

    def project_page(page: Sequence[Recorded]) -> Iterator[Write]:
        for recorded in page:
            yield from project(recorded)

    return project_page


bookkeeping = MetaData(schema=SCHEMA)

positions = Table(
    "positions",
    bookkeeping,
    Column("read_model", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)
"""How far along the log each read model is."""

failures = Table(
    "failures",
    bookkeeping,
    Column("read_model", Text, primary_key=True),
    Column("failures", BigInteger, nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("failed_at", DateTime(timezone=True), nullable=False),
    Column("error", Text, nullable=False),
)
"""The read models that fail: how often in a row, since when, and the last error."""
