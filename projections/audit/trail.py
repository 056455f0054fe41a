"""The index of the audit trail: the positions of the events of an actor, a name, a project and so
on.

For each such term and each block of 512 positions there is a row with a bit for each position. The
bitwise AND of several terms' rows gives the events that match all of them. A page of the trail is a
scan of blocks, however long the log is.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    Integer,
    MetaData,
    Select,
    Table,
    Text,
    cast,
    func,
    literal,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import BIT, Insert, array, insert

from domain.audit.places import MODEL, PROJECT, VIEW, StreamScope, own_terms, stream_scope
from domain.event import Recorded, StreamName
from projections.engine.read_model import SCHEMA, ReadModel, Write, parameter_rows, write_rows

BLOCK = 512

EVERYTHING = ""

SCOPES = 100_000
"""The number of streams whose scope a pass over the log remembers."""

metadata = MetaData(schema=SCHEMA)

streams = Table(
    "trail_v2_streams",
    metadata,
    Column("stream", Text, primary_key=True),
    Column("project_id", Text),
    Column("view_id", Text),
    Column("model_id", Text),
)
"""The project, view and model that a stream and its events belong to."""

blocks = Table(
    "trail_v2_blocks",
    metadata,
    Column("term", Text, primary_key=True),
    Column("block", BigInteger, primary_key=True),
    Column("members", BIT(BLOCK), nullable=False),
    Column("first_at", DateTime(timezone=True), nullable=False),
    Column("last_at", DateTime(timezone=True), nullable=False),
)
"""The positions of a block that match a term, from the left, and the times of their events."""


class _Bitmap:
    """The positions of a block that match a term: bit `n` from the right is position `n`."""

    __slots__ = ("bits", "first_at", "last_at")

    def __init__(self, at: datetime) -> None:
        self.bits = 0
        self.first_at = self.last_at = at

    @property
    def members(self) -> str:
        return f"{self.bits:0{BLOCK}b}"[::-1]


def _scope_rows() -> Select[tuple[str, str, str, str]]:
    rows = parameter_rows(stream=Text, project_id=Text, view_id=Text, model_id=Text)
    view = streams.alias("view")
    of_view = literal(str(StreamName(VIEW, ""))).concat(rows.c.view_id)
    return select(
        rows.c.stream,
        func.coalesce(rows.c.project_id, view.c.project_id),
        rows.c.view_id,
        rows.c.model_id,
    ).select_from(rows.outerjoin(view, view.c.stream == of_view))


def _own_rows() -> Select[tuple[str, int, str, datetime, datetime]]:
    """Rows of the terms that follow from the events alone, by term and block."""
    rows = parameter_rows(
        term=Text,
        block=BigInteger,
        members=Text,
        first_at=DateTime(timezone=True),
        last_at=DateTime(timezone=True),
    )
    members = cast(rows.c.members, BIT(BLOCK))
    return select(rows.c.term, rows.c.block, members, rows.c.first_at, rows.c.last_at)


def _stream_rows() -> Select[tuple[str, int, str, datetime, datetime]]:
    """Rows of the terms that follow from the streams of events, by term and block."""
    rows = parameter_rows(position=BigInteger, at=DateTime(timezone=True), stream=Text)
    owners: ColumnElement[Any] = array(
        [
            literal(f"{PROJECT}:", Text).concat(streams.c.project_id),
            literal(f"{VIEW}:", Text).concat(streams.c.view_id),
            literal(f"{MODEL}:", Text).concat(streams.c.model_id),
        ],
        type_=Text,
    )
    each = (
        select(
            (rows.c.position // BLOCK).label("block"),
            (rows.c.position % BLOCK).label("bit"),
            rows.c.at,
            func.unnest(func.array_remove(owners, None)).label("term"),
        )
        .select_from(rows.join(streams, streams.c.stream == rows.c.stream))
        .subquery()
    )
    zeros: ColumnElement[str] = literal_column(f"B'{'0' * BLOCK}'")
    members = func.bit_or(func.set_bit(zeros, each.c.bit.cast(Integer), 1))
    return select(
        each.c.term, each.c.block, members, func.min(each.c.at), func.max(each.c.at)
    ).group_by(each.c.term, each.c.block)


def _upsert_blocks(rows: Select[Any]) -> Insert:
    """An insert into `blocks` that merges rows into existing ones."""
    new = insert(blocks).from_select(list(blocks.c.keys()), rows)
    return new.on_conflict_do_update(
        index_elements=[blocks.c.term, blocks.c.block],
        set_={
            "members": blocks.c.members.op("|")(new.excluded.members),
            "first_at": func.least(blocks.c.first_at, new.excluded.first_at),
            "last_at": func.greatest(blocks.c.last_at, new.excluded.last_at),
        },
    )


_add_scopes = (
    insert(streams)
    .from_select(["stream", "project_id", "view_id", "model_id"], _scope_rows())
    .on_conflict_do_nothing()
)
_index_own = _upsert_blocks(_own_rows())
_index_by_stream = _upsert_blocks(_stream_rows())


class _Scopes:
    """The scopes of streams that a pass over the log has met, the least recently used ones left
    out. The database has them all."""

    def __init__(self) -> None:
        self._scopes: dict[str, StreamScope] = {}

    def add(self, stream: str, scope: StreamScope) -> None:
        if scope.project_id is None:
            view = self.find(str(StreamName(VIEW, scope.view_id or "")))
            if view is None:
                return
            scope = msgspec.structs.replace(scope, project_id=view.project_id)
        self._scopes.setdefault(stream, scope)
        if len(self._scopes) > SCOPES:
            del self._scopes[next(iter(self._scopes))]

    def find(self, stream: str) -> StreamScope | None:
        scope = self._scopes.pop(stream, None)
        if scope is not None:
            self._scopes[stream] = scope
        return scope


def project(page: Sequence[Recorded]) -> Iterator[Write]:
    return _project(page, _Scopes())


def _project(page: Sequence[Recorded], known: _Scopes) -> Iterator[Write]:
    scopes: list[dict[str, str | None]] = []
    bitmaps: dict[tuple[str, int], _Bitmap] = {}
    by_stream: list[dict[str, object]] = []
    for recorded in page:
        stream, position, at = recorded.stream, recorded.position, recorded.metadata.occurred_at
        scope = stream_scope(stream, recorded.event)
        if scope is None:
            scope = known.find(stream)
        elif recorded.kind != PROJECT:
            scopes.append({"stream": stream, **msgspec.to_builtins(scope)})
            known.add(stream, scope)
        block, bit = position // BLOCK, 1 << position % BLOCK
        for term in _terms(recorded, scope):
            bitmap = bitmaps.get((term, block))
            if bitmap is None:
                bitmap = bitmaps[term, block] = _Bitmap(at)
            elif at > bitmap.last_at:
                bitmap.last_at = at
            elif at < bitmap.first_at:
                bitmap.first_at = at
            bitmap.bits |= bit
        if scope is None or scope.project_id is None:
            by_stream.append({"position": position, "at": at, "stream": stream})
    # A model's project is that of its view, which may have been created in this page.
    yield from write_rows(_add_scopes, [row for row in scopes if row["project_id"]])
    yield from write_rows(_add_scopes, [row for row in scopes if not row["project_id"]])
    block_rows = [
        {
            "term": term,
            "block": block,
            "members": bitmap.members,
            "first_at": bitmap.first_at,
            "last_at": bitmap.last_at,
        }
        for (term, block), bitmap in bitmaps.items()
    ]
    yield from write_rows(_index_own, block_rows)
    yield from write_rows(_index_by_stream, by_stream)


def _terms(recorded: Recorded, scope: StreamScope | None) -> Iterator[str]:
    """The terms that follow from an event alone."""
    yield EVERYTHING
    yield from own_terms(recorded)
    if scope is not None and scope.project_id is not None:
        yield from scope.terms


TRAIL = ReadModel(
    "trail_v2", metadata, project, from_start=lambda: partial(_project, known=_Scopes())
)
