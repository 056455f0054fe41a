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
    func,
    literal,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import BIT, array, insert

from domain.event import Recorded
from domain.image import ImageAdded, ImageAnnotated
from domain.imports import ImportRequested
from domain.model import ModelCreated, ModelForked, VersionNumbered
from domain.version import VersionCreated
from domain.view import ModelRegistered, ViewCreated
from projections.read_model import SCHEMA, ReadModel, Write, given_rows, write_rows

BLOCK = 512

ACTOR, EVENT = "actor", "event"
PROJECT, VIEW, MODEL, VERSION = "project", "view", "model", "version"
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


class _Place(msgspec.Struct, frozen=True):
    stream: str
    project_id: str | None = None
    view_id: str | None = None
    model_id: str | None = None


class _Seen(msgspec.Struct, frozen=True):
    """An event: the ids are those that its stream does not say."""

    position: int
    at: datetime
    stream: str
    actor: str
    event: str
    project_id: str | None
    view_id: str | None
    model_id: str | None
    version_id: str | None


def _place_rows() -> Select[tuple[str, str, str, str]]:
    given = given_rows(stream=Text, project_id=Text, view_id=Text, model_id=Text)
    view = streams.alias("view")
    return select(
        given.c.stream,
        func.coalesce(given.c.project_id, view.c.project_id),
        given.c.view_id,
        given.c.model_id,
    ).select_from(given.outerjoin(view, view.c.stream == literal("view-").concat(given.c.view_id)))


def _block_rows() -> Select[tuple[str, int, str, datetime, datetime]]:
    given = given_rows(
        position=BigInteger,
        at=DateTime(timezone=True),
        stream=Text,
        actor=Text,
        event=Text,
        project_id=Text,
        view_id=Text,
        model_id=Text,
        version_id=Text,
    )
    of = streams.alias("of")
    held: ColumnElement[Any] = array(
        [
            literal(EVERYTHING),
            _term(ACTOR).concat(given.c.actor),
            _term(EVENT).concat(given.c.event),
            _term(PROJECT).concat(func.coalesce(given.c.project_id, of.c.project_id)),
            _term(VIEW).concat(func.coalesce(given.c.view_id, of.c.view_id)),
            _term(MODEL).concat(func.coalesce(given.c.model_id, of.c.model_id)),
            _term(VERSION).concat(given.c.version_id),
        ],
        type_=Text,
    )
    each = (
        select(
            (given.c.position // BLOCK).label("block"),
            (given.c.position % BLOCK).label("place"),
            given.c.at,
            func.unnest(held).label("term"),
        )
        .select_from(given.outerjoin(of, of.c.stream == given.c.stream))
        .subquery()
    )
    nothing: ColumnElement[str] = literal_column(f"repeat('0', {BLOCK})::bit({BLOCK})")
    members = func.bit_or(func.set_bit(nothing, each.c.place.cast(Integer), 1))
    return (
        select(each.c.term, each.c.block, members, func.min(each.c.at), func.max(each.c.at))
        .where(each.c.term.is_not(None))
        .group_by(each.c.term, each.c.block)
    )


def _term(kind: str) -> ColumnElement[str]:
    return literal(f"{kind}:", Text)


_place = (
    insert(streams)
    .from_select(["stream", "project_id", "view_id", "model_id"], _place_rows())
    .on_conflict_do_nothing()
)
_new = insert(blocks).from_select(
    ["term", "block", "members", "first_at", "last_at"], _block_rows()
)
_mark = _new.on_conflict_do_update(
    index_elements=[blocks.c.term, blocks.c.block],
    set_={
        "members": blocks.c.members.op("|")(_new.excluded.members),
        "first_at": func.least(blocks.c.first_at, _new.excluded.first_at),
        "last_at": func.greatest(blocks.c.last_at, _new.excluded.last_at),
    },
)


def project(page: Sequence[Recorded]) -> Iterator[Write]:
    placed = [place for recorded in page if (place := _placed(recorded)) is not None]
    # A model's project is its view's, which may have begun in this very page.
    yield from write_rows(_place, [msgspec.to_builtins(one) for one in placed if one.project_id])
    models = [one for one in placed if not one.project_id]
    yield from write_rows(_place, [msgspec.to_builtins(one) for one in models])
    yield from write_rows(_mark, [msgspec.to_builtins(_seen(recorded)) for recorded in page])


def _placed(recorded: Recorded) -> _Place | None:
    stream, key = recorded.stream, recorded.entity_id
    match recorded.event:
        case ImageAdded() | ImportRequested() as one:
            return _Place(stream, one.project_id)
        case ViewCreated(project_id=project_id):
            return _Place(stream, project_id, key)
        case ModelCreated(view_id=view_id) | ModelForked(view_id=view_id):
            return _Place(stream, None, view_id, key)
        case VersionCreated() as made:
            return _Place(stream, made.project_id, made.view_id, made.model_id)
    return None


def _seen(recorded: Recorded) -> _Seen:
    kind, key = recorded.stream.split("-", 1)
    event, own = recorded.event, key if kind == VERSION else None
    return _Seen(
        recorded.position,
        recorded.metadata.occurred_at,
        recorded.stream,
        recorded.metadata.actor,
        event.event_name,
        key if kind == PROJECT else None,
        event.view_id if isinstance(event, ImageAnnotated) else None,
        event.model_id if isinstance(event, ModelRegistered) else None,
        event.version_id if isinstance(event, VersionNumbered) else own,
    )


TRAIL = ReadModel("trail_v1", metadata, project)
