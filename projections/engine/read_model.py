"""Read models: their tables, and the writes of each event to them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    CTE,
    BigInteger,
    Column,
    DateTime,
    Dialect,
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
from sqlalchemy.types import TypeDecorator, TypeEngine

from domain.event import Recorded

SCHEMA = "read"
CHANNEL = "stemma_read"
"""The channel notified with the new position whenever a read model advances."""

ONLY_READ = {"only read": True}
"""The `info` of an index that queries need and writes do not: a build makes it at the end."""


class Write(NamedTuple):
    """A statement, created once for all events, with its parameters."""

    statement: Executable
    parameters: dict[str, Any]


Project = Callable[[Sequence[Recorded]], Iterable[Write]]


class ReadModel(msgspec.Struct, frozen=True):
    """A read model under its versioned name: a changed one has a new name, and is built beside the
    old one.

    `project` is pure: it returns the writes of a page of events, after all events before it. The
    resulting rows do not depend on how the log is divided into pages. `names` are prefixes of the
    names of the events that it reads: a rebuild reads no others. `from_start` returns a `project`
    for one pass over the log from its beginning, which may remember what it has met.
    """

    name: str
    metadata: MetaData
    project: Project
    names: tuple[str, ...] = ("",)
    from_start: Callable[[], Project] | None = None


ROWS = "rows"
"""The parameter of `parameter_rows`."""


class _AsJson(TypeDecorator[Any]):
    """Rows that are sent as the text of a JSON array."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:  # noqa: ARG002
        return msgspec.json.encode(value).decode()


def parameter_rows(**columns: type[TypeEngine[Any]] | TypeEngine[Any]) -> CTE:
    """Rows that a statement takes as one JSON parameter: many cost little more than one."""
    records = func.json_to_recordset(cast(bindparam(ROWS, type_=_AsJson()), JSON)).table_valued(
        *(column(name, kind) for name, kind in columns.items())
    )
    return select(*records.render_derived(name="given", with_types=True).c).cte(ROWS)


def write_rows(statement: Executable, rows: Sequence[Mapping[str, Any]]) -> Iterator[Write]:
    """A statement over `parameter_rows`, if there are any."""
    if rows:
        yield Write(statement, {ROWS: rows})


def event_by_event(
    project: Callable[[Recorded], Iterable[Write]],
) -> Callable[[Sequence[Recorded]], Iterator[Write]]:
    """The projection of a page as the projections of its events."""

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
"""The position of each read model in the log."""

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
