"""Where on the log the events of an actor, of a name, of a project and so on are: an index.

For each such term and each block of 512 positions there is a row with a bit for each position, so
that several terms are met by their rows' bits in common, and a page of the trail is found in a walk
over blocks, however long the log is.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
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
from domain.event import Recorded
from projections.engine.read_model import SCHEMA, ReadModel, Write, parameter_rows, write_rows

BLOCK = 512

EVERYTHING = ""

metadata = MetaData(schema=SCHEMA)

streams = Table(
    "trail_v1_streams",
    metadata,
    Column("stream", Text, primary_key=True),
    Column("project_id", Text),
    Column("view_id", Text),
    Column("model_id", Text),
)
"""What a stream, and with it each of its events, belongs to."""

blocks = Table(
    "trail_v1_blocks",
    metadata,
    Column("term", Text, primary_key=True),
    Column("block", BigInteger, primary_key=True),
    Column("members", BIT(BLOCK), nullable=False),
    Column("first_at", DateTime(timezone=True), nullable=False),
    Column("last_at", DateTime(timezone=True), nullable=False),
)
"""The positions of a block that a term holds for, from the left, and when their events happened."""


class _Marks(msgspec.Struct):
    """The events of a block that a term holds for: bit `n` from the right is the n-th position."""

    first_at: datetime
    last_at: datetime
    bits: int = 0

    def add(self, position: int, at: datetime) -> None:
        self.bits |= 1 << position % BLOCK
        self.first_at, self.last_at = min(self.first_at, at), max(self.last_at, at)

    @property
    def members(self) -> str:
        return f"{self.bits:0{BLOCK}b}"[::-1]


def _place_rows() -> Select[tuple[str, str, str, str]]:
    given = parameter_rows(stream=Text, project_id=Text, view_id=Text, model_id=Text)
    view = streams.alias("view")
    return select(
        given.c.stream,
        func.coalesce(given.c.project_id, view.c.project_id),
        given.c.view_id,
        given.c.model_id,
    ).select_from(given.outerjoin(view, view.c.stream == literal("view-").concat(given.c.view_id)))


def _marked_rows() -> Select[tuple[str, int, str, datetime, datetime]]:
    """What the events say themselves, gathered by term and block."""
    given = parameter_rows(
        term=Text,
        block=BigInteger,
        members=Text,
        first_at=DateTime(timezone=True),
        last_at=DateTime(timezone=True),
    )
    members = cast(given.c.members, BIT(BLOCK))
    return select(given.c.term, given.c.block, members, given.c.first_at, given.c.last_at)


def _owned_rows() -> Select[tuple[str, int, str, datetime, datetime]]:
    """What events belong to by their streams, a row for each event."""
    given = parameter_rows(position=BigInteger, at=DateTime(timezone=True), stream=Text)
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
            (given.c.position // BLOCK).label("block"),
            (given.c.position % BLOCK).label("place"),
            given.c.at,
            func.unnest(func.array_remove(owners, None)).label("term"),
        )
        .select_from(given.join(streams, streams.c.stream == given.c.stream))
        .subquery()
    )
    nothing: ColumnElement[str] = literal_column(f"B'{'0' * BLOCK}'")
    members = func.bit_or(func.set_bit(nothing, each.c.place.cast(Integer), 1))
    return select(
        each.c.term, each.c.block, members, func.min(each.c.at), func.max(each.c.at)
    ).group_by(each.c.term, each.c.block)


def _marking(rows: Select[Any]) -> Insert:
    """Rows of `blocks`, added to those that are there."""
    new = insert(blocks).from_select(list(blocks.c.keys()), rows)
    return new.on_conflict_do_update(
        index_elements=[blocks.c.term, blocks.c.block],
        set_={
            "members": blocks.c.members.op("|")(new.excluded.members),
            "first_at": func.least(blocks.c.first_at, new.excluded.first_at),
            "last_at": func.greatest(blocks.c.last_at, new.excluded.last_at),
        },
    )


_place = (
    insert(streams)
    .from_select(["stream", "project_id", "view_id", "model_id"], _place_rows())
    .on_conflict_do_nothing()
)
_mark = _marking(_marked_rows())
_mark_by_stream = _marking(_owned_rows())


def project(page: Sequence[Recorded]) -> Iterator[Write]:
    places: list[dict[str, str | None]] = []
    marks: dict[tuple[str, int], _Marks] = {}
    by_stream: list[dict[str, object]] = []
    for recorded in page:
        stream, position, at = recorded.stream, recorded.position, recorded.metadata.occurred_at
        place = stream_scope(stream, recorded.event)
        if place is not None and not stream.startswith(f"{PROJECT}-"):
            places.append({"stream": stream, **msgspec.to_builtins(place)})
        for term in _terms(recorded, place):
            key = term, position // BLOCK
            if key not in marks:
                marks[key] = _Marks(at, at)
            marks[key].add(position, at)
        if place is None or place.project_id is None:
            by_stream.append({"position": position, "at": at, "stream": stream})
    # A model's project is its view's, which may have begun in this very page.
    yield from write_rows(_place, [one for one in places if one["project_id"]])
    yield from write_rows(_place, [one for one in places if not one["project_id"]])
    gathered = [
        {
            "term": term,
            "block": block,
            "members": held.members,
            "first_at": held.first_at,
            "last_at": held.last_at,
        }
        for (term, block), held in marks.items()
    ]
    yield from write_rows(_mark, gathered)
    yield from write_rows(_mark_by_stream, by_stream)


def _terms(recorded: Recorded, place: StreamScope | None) -> Iterator[str]:
    """The terms that hold for an event by what it says itself."""
    yield EVERYTHING
    yield from own_terms(recorded)
    if place is not None and place.project_id is not None:
        yield from place.terms


TRAIL = ReadModel("trail_v1", metadata, project)
