"""Erasures: the erased images, the actor and the reason, and the time when their bytes were
deleted."""

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    MetaData,
    Table,
    Text,
    any_,
    bindparam,
    insert,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

from domain.dataset.blob import BlobErased
from domain.dataset.image import ImageErased
from domain.event import Recorded
from projections.engine.read_model import SCHEMA, ReadModel, Write, event_by_event

metadata = MetaData(schema=SCHEMA)

images = Table(
    "erasures_v1_images",
    metadata,
    Column("image_id", Text, primary_key=True),
    Column("blob", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("erased_by", Text, nullable=False),
    Column("erased_at", DateTime(timezone=True), nullable=False),
    Column("erased_position", BigInteger, nullable=False),
)
blobs = Table(
    "erasures_v1_blobs",
    metadata,
    Column("blob", Text, primary_key=True),
    Column("gone_at", DateTime(timezone=True), nullable=False),
)

_erased = insert(images)
_gone = insert(blobs)


def project(recorded: Recorded) -> Iterator[Write]:
    match recorded.event:
        case ImageErased() as erased:
            yield Write(
                _erased,
                {
                    "image_id": recorded.entity_id,
                    "blob": erased.blob,
                    "reason": erased.reason,
                    "erased_by": recorded.metadata.actor,
                    "erased_at": recorded.metadata.occurred_at,
                    "erased_position": recorded.position,
                },
            )
        case BlobErased():
            at = recorded.metadata.occurred_at
            yield Write(_gone, {"blob": recorded.entity_id, "gone_at": at})


ERASURES = ReadModel(
    "erasures_v1", metadata, event_by_event(project), ("image.erased", "blob.erased")
)


class ErasureRow(msgspec.Struct, frozen=True):
    """An erased image. `gone_at` is None until its bytes were deleted and this was verified."""

    image_id: str
    blob: str
    reason: str
    erased_by: str
    erased_at: datetime
    erased_position: int
    gone_at: datetime | None


def find_erasures(connection: Connection, image_ids: Iterable[str]) -> dict[str, ErasureRow]:
    """The erasures of those images that are erased, by id."""
    query = (
        select(images, blobs.c.gone_at)
        .join(blobs, blobs.c.blob == images.c.blob, isouter=True)
        .where(images.c.image_id.in_(list(image_ids)))
    )
    return {row.image_id: ErasureRow(**row._mapping) for row in connection.execute(query)}


def erased_among(connection: Connection, image_ids: Collection[str]) -> set[str]:
    """Those of some images, of which there may be very many, that are erased."""
    among = bindparam("ids", list(image_ids), type_=ARRAY(Text))
    return set(
        connection.scalars(select(images.c.image_id).where(images.c.image_id == any_(among)))
    )
