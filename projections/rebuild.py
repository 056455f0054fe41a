"""Building a read model from nothing: beside the live one, then in its place, or to compare."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, select, text

from projections.follow import EventSource, Follower, create_tables, position_of
from projections.read_model import SCHEMA, ReadModel, positions

SCRATCH = "rebuild"
"""The schema that read models are built in beside the live ones."""


class Difference(msgspec.Struct, frozen=True):
    """Rows of a live table that a rebuild does not have, and the other way round."""

    table: str
    only_live: list[tuple[Any, ...]]
    only_rebuilt: list[tuple[Any, ...]]


def rebuild(engine: Engine, source: EventSource, read_model: ReadModel) -> int:
    """Replace a read model by one built from the whole log; return its position.

    It is built beside the live one, which goes on serving, and takes its place in one
    transaction, no earlier in the log than the live one was.
    """
    with _beside(engine, source, read_model) as catch_up:
        catch_up(None)
        with engine.begin() as connection:
            catch_up(_hold(connection, read_model))
            for table in reversed(read_model.metadata.sorted_tables):
                connection.execute(text(f'DROP TABLE {SCHEMA}."{table.name}"'))
            for table in read_model.metadata.sorted_tables:
                move = f'ALTER TABLE {SCRATCH}."{table.name}" SET SCHEMA {SCHEMA}'
                connection.execute(text(move))
            reached = f"SELECT position FROM {SCRATCH}.positions WHERE read_model = :name"
            found = connection.execute(text(reached), {"name": read_model.name})
            position = int(found.scalar_one())
            move_to = positions.update().where(positions.c.read_model == read_model.name)
            connection.execute(move_to.values(position=position))
    return position


def compare(engine: Engine, source: EventSource, read_model: ReadModel) -> list[Difference]:
    """Build a read model anew up to the live one's position and compare them row by row.

    Returns the tables that differ; none, if the live one is what the log says.
    """
    with _beside(engine, source, read_model) as catch_up, engine.begin() as connection:
        catch_up(_hold(connection, read_model))
        found = [_difference(connection, table.name) for table in read_model.metadata.sorted_tables]
    return [one for one in found if one.only_live or one.only_rebuilt]


@contextmanager
def _beside(
    engine: Engine, source: EventSource, read_model: ReadModel
) -> Iterator[Callable[[int | None], object]]:
    """The read model's tables, empty, in the scratch schema, and what moves them along the log."""
    elsewhere = engine.execution_options(schema_translate_map={SCHEMA: SCRATCH})
    # Held until the end, so that two rebuilds of one read model do not share tables.
    with engine.begin() as holder:
        key = f"rebuild {read_model.name}"
        holder.execute(text("SELECT pg_advisory_xact_lock(hashtext(:key))"), {"key": key})
        _forget(elsewhere, read_model)
        with elsewhere.begin() as connection:
            create_tables(connection, read_model)
        follower = Follower(elsewhere, source, [read_model])
        try:
            yield lambda upto: follower.catch_up(upto=upto)
        finally:
            _forget(elsewhere, read_model)


def _forget(elsewhere: Engine, read_model: ReadModel) -> None:
    with elsewhere.begin() as connection:
        positions.create(connection, checkfirst=True)
        read_model.metadata.drop_all(connection)
        mine = positions.c.read_model == read_model.name
        connection.execute(positions.delete().where(mine))


def _hold(connection: Connection, read_model: ReadModel) -> int:
    """Keep the live read model where it is until the transaction ends; return its position."""
    mine = positions.c.read_model == read_model.name
    connection.execute(select(positions).where(mine).with_for_update())
    return position_of(connection, read_model.name)


def _difference(connection: Connection, table: str) -> Difference:
    def without(left: str, right: str) -> list[tuple[Any, ...]]:
        query = f'SELECT * FROM "{left}"."{table}" EXCEPT ALL SELECT * FROM "{right}"."{table}"'
        return [tuple(row) for row in connection.execute(text(query))]

    return Difference(table, without(SCHEMA, SCRATCH), without(SCRATCH, SCHEMA))
