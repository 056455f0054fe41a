"""The timeline: the position of the log as of a time."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    MetaData,
    Table,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import insert

from domain.event import Recorded
from projections.engine.follow import EventSource
from projections.engine.read_model import SCHEMA, ReadModel, Write, parameter_rows, write_rows

BLOCK = 256
"""The number of positions that share a row."""

metadata = MetaData(schema=SCHEMA)

blocks = Table(
    "timeline_v1",
    metadata,
    Column("block", BigInteger, primary_key=True),
    Column("earliest", DateTime(timezone=True), nullable=False),
)
"""The earliest time at which an event of each block was recorded. A clock may be set back, so it is
not always that of its first event."""

_rows = parameter_rows(block=BigInteger, earliest=DateTime(timezone=True))
_new = insert(blocks).from_select(["block", "earliest"], select(_rows))
_upsert = _new.on_conflict_do_update(
    index_elements=["block"],
    set_={"earliest": func.least(blocks.c.earliest, _new.excluded.earliest)},
)


def project(page: Sequence[Recorded]) -> Iterator[Write]:
    earliest: dict[int, datetime] = {}
    for recorded in page:
        block, at = (recorded.position - 1) // BLOCK, recorded.metadata.occurred_at
        earliest[block] = min(earliest.get(block, at), at)
    yield from write_rows(
        _upsert, [{"block": block, "earliest": at} for block, at in earliest.items()]
    )


TIMELINE = ReadModel("timeline_v1", metadata, project)


def position_at(connection: Connection, source: EventSource, time: datetime, *, upto: int) -> int:
    """The last position, `upto` at most, whose event was recorded at this time or before.

    It is 0 before the first event. If a clock was set back, the last matching event counts.
    """
    query = (
        select(blocks.c.block)
        .where(blocks.c.earliest <= time, blocks.c.block * BLOCK < upto)
        .order_by(blocks.c.block.desc())
        .limit(1)
    )
    block = connection.scalar(query)
    if block is None:
        return 0
    before, last = block * BLOCK, min((block + 1) * BLOCK, upto)
    events = source.read(before, limit=BLOCK, upto=last)
    matches = [event.position for event in events if event.metadata.occurred_at <= time]
    # This read model may be ahead of `upto`, and the block's earliest event after it.
    return matches[-1] if matches else position_at(connection, source, time, upto=before)
