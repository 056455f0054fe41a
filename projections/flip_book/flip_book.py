"""The epochs whose items were recorded, and the versions whose files were given up."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Double,
    Integer,
    MetaData,
    Table,
    Text,
    bindparam,
    func,
    insert,
    select,
)

from domain.event import Recorded
from domain.training.version import EpochItemsDiscarded, EpochItemsRecorded
from projections.engine.read_model import SCHEMA, ReadModel, Write, event_by_event

metadata = MetaData(schema=SCHEMA)

epochs = Table(
    "flip_book_v1_epochs",
    metadata,
    Column("version_id", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("iteration", BigInteger, nullable=False),
    Column("items", Text, nullable=False),
    Column("images", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)
discarded = Table(
    "flip_book_v1_discarded",
    metadata,
    Column("version_id", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("kept_versions", BigInteger, nullable=False),
    Column("discarded_at", DateTime(timezone=True), nullable=False),
)

_recorded, _discarded = insert(epochs), insert(discarded)


def project(recorded: Recorded) -> Iterator[Write]:
    own = {"version_id": recorded.entity_id, "position": recorded.position}
    at = recorded.metadata.occurred_at
    match recorded.event:
        case EpochItemsRecorded() as event:
            yield Write(_recorded, own | msgspec.structs.asdict(event) | {"recorded_at": at})
        case EpochItemsDiscarded() as event:
            kept = {"kept_versions": event.kept_versions, "discarded_at": at}
            yield Write(_discarded, own | kept)


FLIP_BOOK = ReadModel("flip_book_v1", metadata, event_by_event(project), ("version.epoch_items_",))


class RecordedEpoch(msgspec.Struct, frozen=True):
    """An epoch whose items were recorded; `items` is the sha256 of their file.

    It has `rows` items of `images` images. Measuring and storing them took `seconds`.
    """

    epoch: int
    iteration: int
    items: str
    images: int
    rows: int
    seconds: float
    recorded_at: datetime
    position: int


class Discarded(msgspec.Struct, frozen=True):
    """When the files of a version's epochs were given up, and how many versions were kept."""

    kept_versions: int
    discarded_at: datetime


def epochs_of(
    connection: Connection,
    version_id: str,
    *,
    after: int = 0,
    upto: int | None = None,
    after_epoch: int | None = None,
    limit: int | None = None,
) -> list[RecordedEpoch]:
    """Epochs recorded at positions above `after`, in order; those that follow `after_epoch`."""
    query = (
        select(*(column for column in epochs.c if column.name != "version_id"))
        .where(*_of(version_id, upto), epochs.c.position > after)
        .order_by(epochs.c.epoch, epochs.c.position)
        .limit(limit)
    )
    if after_epoch is not None:
        query = query.where(epochs.c.epoch > after_epoch)
    return [RecordedEpoch(**row._mapping) for row in connection.execute(query)]


_NEWER = (
    select(*(epochs.c[name] for name in RecordedEpoch.__struct_fields__))
    .where(
        epochs.c.version_id == bindparam("key", type_=Text),
        epochs.c.position > bindparam("after", type_=BigInteger),
    )
    .order_by(epochs.c.epoch, epochs.c.position)
)


def newer_epochs_query(version_id: str, after: int) -> Write:
    """The query of epochs recorded above a position, whose rows are `RecordedEpoch`s."""
    return Write(_NEWER, {"key": version_id, "after": after})


class EpochCount(msgspec.Struct, frozen=True):
    """How many epochs are recorded, and the last one, if there is one."""

    epochs: int
    latest: RecordedEpoch | None


def count_epochs(connection: Connection, version_id: str, *, upto: int | None = None) -> EpochCount:
    number = connection.scalar(
        select(func.count()).select_from(epochs).where(*_of(version_id, upto))
    )
    query = (
        select(*(column for column in epochs.c if column.name != "version_id"))
        .where(*_of(version_id, upto))
        .order_by(epochs.c.epoch.desc())
        .limit(1)
    )
    row: Any = connection.execute(query).one_or_none()
    return EpochCount(number or 0, None if row is None else RecordedEpoch(**row._mapping))


def find_discarded(connection: Connection, version_id: str) -> Discarded | None:
    """Whether a version's files are given up by now: a past moment has them no more than now."""
    query = (
        select(discarded.c.kept_versions, discarded.c.discarded_at)
        .where(discarded.c.version_id == version_id)
        .order_by(discarded.c.position)
        .limit(1)
    )
    row: Any = connection.execute(query).one_or_none()
    return None if row is None else Discarded(**row._mapping)


def _of(version_id: str, upto: int | None) -> Sequence[ColumnElement[bool]]:
    own = epochs.c.version_id == version_id
    return (own,) if upto is None else (own, epochs.c.position <= upto)
