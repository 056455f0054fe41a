"""Snapshots: names of positions of a project's dataset."""

from collections.abc import Iterator
from datetime import datetime

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Index,
    MetaData,
    Select,
    Table,
    Text,
    bindparam,
    insert,
    or_,
    select,
    update,
)

from domain.dataset.project import SnapshotNamed, SnapshotRemoved
from domain.event import Recorded
from projections.engine.read_model import SCHEMA, ReadModel, Write, event_by_event

metadata = MetaData(schema=SCHEMA)

snapshots = Table(
    "snapshots_v1_names",
    metadata,
    Column("project_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("log_position", BigInteger, nullable=False),
    Column("named_by", Text, nullable=False),
    Column("named_at", DateTime(timezone=True), nullable=False),
    Column("valid_from", BigInteger, primary_key=True),
    Column("valid_to", BigInteger, nullable=True),
    Index("snapshots_v1_names_by_project", "project_id", "valid_from"),
)
"""A row is valid from the position at which it was named until it was removed."""

_name = insert(snapshots)
_remove = (
    update(snapshots)
    .where(
        snapshots.c.project_id == bindparam("project"),
        snapshots.c.name == bindparam("removed"),
        snapshots.c.valid_to.is_(None),
    )
    .values(valid_to=bindparam("at", type_=BigInteger))
)


def project(recorded: Recorded) -> Iterator[Write]:
    match recorded.event:
        case SnapshotNamed(name=name, log_position=position):
            yield Write(
                _name,
                {
                    "project_id": recorded.entity_id,
                    "name": name,
                    "log_position": position,
                    "named_by": recorded.metadata.actor,
                    "named_at": recorded.metadata.occurred_at,
                    "valid_from": recorded.position,
                    "valid_to": None,
                },
            )
        case SnapshotRemoved(name=name):
            which = {"project": recorded.entity_id, "removed": name, "at": recorded.position}
            yield Write(_remove, which)


SNAPSHOTS = ReadModel("snapshots_v1", metadata, event_by_event(project), ("project.snapshot_",))


class SnapshotRow(msgspec.Struct, frozen=True):
    """A name of the dataset at `log_position`; `named_position` is where the log names it."""

    project_id: str
    name: str
    log_position: int
    named_by: str
    named_at: datetime
    named_position: int


def list_snapshots(
    connection: Connection,
    project_id: str,
    *,
    before: int | None = None,
    limit: int = 50,
    as_of: int | None = None,
) -> list[SnapshotRow]:
    """A project's snapshots, newest first; `before` is the `named_position` of the last one."""
    query = _at(project_id, as_of).order_by(snapshots.c.valid_from.desc()).limit(limit)
    if before is not None:
        query = query.where(snapshots.c.valid_from < before)
    return [SnapshotRow(**row._mapping) for row in connection.execute(query)]


def find_snapshot(
    connection: Connection, project_id: str, name: str, *, as_of: int | None = None
) -> SnapshotRow | None:
    query = _at(project_id, as_of).where(snapshots.c.name == name)
    row = connection.execute(query).first()
    return None if row is None else SnapshotRow(**row._mapping)


def _at(project_id: str, as_of: int | None) -> Select[tuple[object, ...]]:
    own = ("project_id", "name", "log_position", "named_by", "named_at")
    query = select(
        *(snapshots.c[name] for name in own), snapshots.c.valid_from.label("named_position")
    ).where(snapshots.c.project_id == project_id)
    if as_of is None:
        return query.where(snapshots.c.valid_to.is_(None))
    still = or_(snapshots.c.valid_to.is_(None), snapshots.c.valid_to > as_of)
    return query.where(snapshots.c.valid_from <= as_of, still)
