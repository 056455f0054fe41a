"""Decisions about suspects: the label of an image, the decision and its author."""

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Float,
    Index,
    MetaData,
    Table,
    Text,
    any_,
    bindparam,
    func,
    insert,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

from domain.dataset.annotation import Box, DoubtedLabel
from domain.dataset.image import SuspectCorrected, SuspectLeftUnsure, SuspectUpheld
from domain.dataset.suspects import CORRECTED, UNSURE, UPHELD
from domain.event import Recorded
from projections.engine.read_model import SCHEMA, ReadModel, Write, event_by_event

metadata = MetaData(schema=SCHEMA)

_SIDES = ("x", "y", "width", "height")

decisions = Table(
    "suspects_v1_decisions",
    metadata,
    Column("position", BigInteger, primary_key=True),
    Column("image_id", Text, nullable=False),
    Column("view_id", Text, nullable=False),
    Column("version_id", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("concept_id", Text, nullable=False),
    Column("present", Boolean, nullable=False),
    *(Column(side, Float) for side in _SIDES),
    Column("decided_by", Text, nullable=False),
    Column("decided_at", DateTime(timezone=True), nullable=False),
    Index("suspects_v1_decisions_by_image", "image_id", "view_id"),
    Index("suspects_v1_decisions_by_view", "view_id", "position"),
)
"""Rows are only added: whether a decision still holds follows from the image's annotations."""

_decided = insert(decisions)

_NAMES = {SuspectUpheld: UPHELD, SuspectLeftUnsure: UNSURE, SuspectCorrected: CORRECTED}


def project(recorded: Recorded) -> Iterator[Write]:
    match recorded.event:
        case SuspectUpheld() | SuspectLeftUnsure() | SuspectCorrected() as event:
            box = event.label.box
            sides = dict.fromkeys(_SIDES) if box is None else msgspec.structs.asdict(box)
            row = {
                "position": recorded.position,
                "image_id": recorded.entity_id,
                "view_id": event.view_id,
                "version_id": event.version_id,
                "decision": _NAMES[type(event)],
                "concept_id": event.label.concept_id,
                "present": event.label.present,
                "decided_by": recorded.metadata.actor,
                "decided_at": recorded.metadata.occurred_at,
            }
            yield Write(_decided, row | sides)


SUSPECTS = ReadModel("suspects_v1", metadata, event_by_event(project), ("image.suspect_",))


class DecisionRow(msgspec.Struct, frozen=True):
    """A decision about a label: upheld, unsure or corrected."""

    position: int
    image_id: str
    view_id: str
    version_id: str
    decision: str
    label: DoubtedLabel
    decided_by: str
    decided_at: datetime


def decisions_of(
    connection: Connection,
    image_ids: Collection[str],
    view_id: str | None = None,
    *,
    upto: int | None = None,
) -> dict[str, list[DecisionRow]]:
    """The decisions about images, of which there may be very many, by image, the oldest first."""
    among = bindparam("ids", list(image_ids), type_=ARRAY(Text))
    query = (
        select(decisions).where(decisions.c.image_id == any_(among)).order_by(decisions.c.position)
    )
    if view_id is not None:
        query = query.where(decisions.c.view_id == view_id)
    if upto is not None:
        query = query.where(decisions.c.position <= upto)
    by_image: dict[str, list[DecisionRow]] = {}
    for row in connection.execute(query):
        by_image.setdefault(row.image_id, []).append(_decision(row))
    return by_image


def corrected_between(connection: Connection, view_id: str, after: int, upto: int) -> list[str]:
    """The images whose suspects were corrected in a view in this span of the log, by id."""
    query = (
        select(decisions.c.image_id)
        .where(
            decisions.c.view_id == view_id,
            decisions.c.decision == CORRECTED,
            decisions.c.position > after,
            decisions.c.position <= upto,
        )
        .distinct()
        .order_by(decisions.c.image_id)
    )
    return list(connection.scalars(query))


def count_corrected(connection: Connection, view_id: str, after: int, upto: int) -> int:
    number = connection.scalar(
        select(func.count(decisions.c.image_id.distinct())).where(
            decisions.c.view_id == view_id,
            decisions.c.decision == CORRECTED,
            decisions.c.position > after,
            decisions.c.position <= upto,
        )
    )
    return number or 0


def _decision(row: Any) -> DecisionRow:
    sides = [getattr(row, side) for side in _SIDES]
    label = DoubtedLabel(row.concept_id, row.present, None if row.x is None else Box(*sides))
    return DecisionRow(
        row.position,
        row.image_id,
        row.view_id,
        row.version_id,
        row.decision,
        label,
        row.decided_by,
        row.decided_at,
    )
