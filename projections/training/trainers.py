"""Trainers of users' own: their forms, and whether they are retired."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    MetaData,
    Table,
    Text,
    bindparam,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from domain.event import Recorded
from domain.trainers.form import Setting, digest_of
from domain.trainers.seed import SeedIssued, SeedRevoked
from domain.trainers.trainer import (
    TrainerFormChanged,
    TrainerRegistered,
    TrainerRetired,
    queue_of,
)
from projections.engine.read_model import SCHEMA, ReadModel, Write, event_by_event

metadata = MetaData(schema=SCHEMA)

trainers = Table(
    "trainers_v2",
    metadata,
    Column("trainer_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("kinds", ARRAY(Text), nullable=False),
    Column("settings", JSONB, nullable=False),
    Column("form", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("predicts", Boolean, nullable=False),
    Column("queue", Text, nullable=False),
    Column("retired", Boolean, nullable=False),
    Column("registered_at", DateTime(timezone=True), nullable=False),
    Column("revision", BigInteger, nullable=False),
)

_own = trainers.c.trainer_id == bindparam("key")
_add = insert(trainers)
_change = (
    update(trainers)
    .where(_own)
    .values(
        kinds=bindparam("to_kinds"),
        settings=bindparam("to_settings", type_=JSONB),
        form=bindparam("to_form"),
        predicts=bindparam("to_predicts"),
        revision=bindparam("to"),
    )
)
_revise = update(trainers).where(_own).values(revision=bindparam("to"))
_retire = update(trainers).where(_own).values(retired=True, revision=bindparam("to"))


def project(recorded: Recorded) -> Iterator[Write]:
    own = {"key": recorded.entity_id, "to": recorded.originator_version}
    match recorded.event:
        case TrainerRegistered() as made:
            row = {
                "trainer_id": recorded.entity_id,
                "name": made.name,
                "kinds": list(made.kinds),
                "settings": msgspec.to_builtins(made.settings),
                "form": digest_of(made.kinds, made.settings),
                "format": made.format,
                "predicts": made.predicts,
                "queue": queue_of(made.name),
                "retired": False,
                "registered_at": recorded.metadata.occurred_at,
                "revision": recorded.originator_version,
            }
            yield Write(_add, row)
        case TrainerFormChanged() as changed:
            form = {
                "to_kinds": list(changed.kinds),
                "to_settings": msgspec.to_builtins(changed.settings),
                "to_form": digest_of(changed.kinds, changed.settings),
                "to_predicts": changed.predicts,
            }
            yield Write(_change, own | form)
        case TrainerRetired():
            yield Write(_retire, own)
        case SeedIssued() | SeedRevoked():
            yield Write(_revise, own)


TRAINERS = ReadModel("trainers_v2", metadata, event_by_event(project), ("trainer.",))


class TrainerRow(msgspec.Struct, frozen=True):
    """A trainer. `form` is the sha256 of its kinds and settings, `format` that of its checkpoints,
    and `queue` the one that its workers take jobs from. If it `predicts`, its workers predict other
    images by its checkpoints, too."""

    trainer_id: str
    name: str
    kinds: list[str]
    settings: list[Setting]
    form: str
    format: str
    predicts: bool
    queue: str
    retired: bool
    registered_at: datetime
    revision: int


def list_trainers(connection: Connection, *, retired: bool = False) -> list[TrainerRow]:
    """By name; retired ones only on request."""
    query = select(trainers).order_by(trainers.c.name)
    if not retired:
        query = query.where(~trainers.c.retired)
    return [_row(row._mapping) for row in connection.execute(query)]


def find_trainer(connection: Connection, trainer_id: str) -> TrainerRow | None:
    row = connection.execute(
        select(trainers).where(trainers.c.trainer_id == trainer_id)
    ).one_or_none()
    return None if row is None else _row(row._mapping)


def _row(row: Any) -> TrainerRow:
    values = dict(row)
    values["settings"] = msgspec.convert(values["settings"], list[Setting])
    return TrainerRow(**values)
