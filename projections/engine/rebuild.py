"""Rebuilds of read models from the log: to replace the live ones, or to compare with them."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, Engine, text

from projections.engine.build import Goal, advance, fill
from projections.engine.compare import Difference, Digest, differences, digests
from projections.engine.follow import EventSource, position_of
from projections.engine.read_model import SCHEMA, ReadModel
from projections.engine.scratch import within
from projections.engine.switch import hold, switch


class Replayed(msgspec.Struct, frozen=True):
    """The result of a replay.

    `differences` are the tables that differ from the live ones; None if the live read model is at
    another position, so that they cannot be compared. `digests` is empty unless requested.
    """

    read_model: str
    position: int
    live_position: int
    differences: list[Difference] | None
    digests: list[Digest]


def rebuild_within(
    engine: Engine, source: EventSource, read_models: Sequence[ReadModel], schema: str
) -> list[int]:
    """Fill read models' empty tables in a scratch schema, then make them the live ones, one after
    the other; return their positions.

    The old live ones serve queries until then.
    """
    head = source.head()
    goals = [Goal(each, head) for each in read_models]
    fill(within(engine, schema), source, goals, logged=True)
    return [_go_live(engine, source, read_model, schema) for read_model in read_models]


def _go_live(engine: Engine, source: EventSource, read_model: ReadModel, schema: str) -> int:
    advance(within(engine, schema), source, read_model, source.head())
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in read_model.metadata.sorted_tables:
            # So that the first queries have good plans.
            connection.execute(text(f'VACUUM (ANALYZE) {schema}."{table.name}"'))
    return switch(engine, source, read_model, schema)


def replay_within(
    engine: Engine,
    source: EventSource,
    read_models: Sequence[ReadModel],
    schema: str,
    *,
    to: int | None = None,
) -> list[Replayed]:
    """Fill read models' empty tables in a scratch schema and compare them with the live ones.

    A replay ends at the live read model's position, or, with digests, at `to`. The live one
    advances during the comparison.
    """
    with engine.connect() as connection:
        live = [position_of(connection, read_model.name) for read_model in read_models]
    ends = live if to is None else [to] * len(live)
    goals = [Goal(*each) for each in zip(read_models, ends, strict=True)]
    fill(within(engine, schema), source, goals)
    return [_compared(engine, source, read_model, schema, to) for read_model in read_models]


def _compared(
    engine: Engine, source: EventSource, read_model: ReadModel, schema: str, to: int | None
) -> Replayed:
    beside = within(engine, schema)
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as reader:
        if to is None:
            with engine.connect() as connection:
                live = position_of(connection, read_model.name)
            # So that little is left to do while the live one is locked.
            advance(beside, source, read_model, live)
        with engine.begin() as holder:
            live = hold(holder, read_model) or 0
            if to is None:
                advance(beside, source, read_model, live)
            _take_snapshot(reader, read_model)
        at = live if to is None else to
        different = differences(reader, read_model, schema) if live == at else None
        table_digests = [] if to is None else digests(reader, read_model, schema)
    return Replayed(read_model.name, at, live, different, table_digests)


def _take_snapshot(reader: Connection, read_model: ReadModel) -> None:
    """Take a snapshot, in which the live tables do not change."""
    # A query whose client has died would prevent the removal of a killed replay's tables.
    reader.execute(text("SET LOCAL client_connection_check_interval = 1000"))
    names = ", ".join(f'{SCHEMA}."{table.name}"' for table in read_model.metadata.sorted_tables)
    reader.execute(text(f"LOCK TABLE {names} IN ACCESS SHARE MODE"))
    position_of(reader, read_model.name)
