"""Scratch schemas: where read models are built beside the live ones, gone when the run is over."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import ProgrammingError

from projections.engine.follow import create_tables
from projections.engine.read_model import SCHEMA, ReadModel

_LOCK = 73637742
"""With a schema's name, the advisory lock that its run holds: a schema without it is a leftover."""

_OURS = "(nspname = 'rebuild' OR nspname LIKE 'rebuild\\_%') AND pg_has_role(nspowner, 'USAGE')"


class UnderWay(NamedTuple):
    """A read model that is being built, and how far it is."""

    read_model: str
    position: int


@contextmanager
def scratch(engine: Engine) -> Iterator[str]:
    """The name of a schema of this run's own. What killed runs left behind is removed first."""
    schema = f"rebuild_{uuid.uuid4().hex[:12]}"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as holder:
        remove_leftovers(holder)
        holder.execute(text(f"SELECT pg_advisory_lock({_LOCK}, hashtext('{schema}'))"))
        try:
            holder.execute(text(f"SELECT work.make_scratch('{schema}')"))
            yield schema
        finally:
            holder.execute(text(f"DROP SCHEMA IF EXISTS {schema} CASCADE"))
            holder.execute(text(f"SELECT pg_advisory_unlock({_LOCK}, hashtext('{schema}'))"))


def remove_leftovers(connection: Connection) -> list[str]:
    """Drop the scratch schemas whose run is no more; return their names."""
    found = connection.scalars(text(f"SELECT nspname FROM pg_namespace WHERE {_OURS}")).all()
    return [schema for schema in found if _remove(connection, schema)]


def _remove(connection: Connection, schema: str) -> bool:
    lock = f"({_LOCK}, hashtext('{schema}'))"
    if not connection.scalar(text(f"SELECT pg_try_advisory_lock{lock}")):
        return False
    try:
        connection.execute(text(f"DROP SCHEMA IF EXISTS {schema} CASCADE"))
    finally:
        connection.execute(text(f"SELECT pg_advisory_unlock{lock}"))
    return True


def within(engine: Engine, schema: str) -> Engine:
    """The engine, with the read models' tables meant as those of a scratch schema."""
    return engine.execution_options(schema_translate_map={SCHEMA: schema})


def create_beside(engine: Engine, schema: str, read_models: Sequence[ReadModel]) -> None:
    """Make read models' tables in a scratch schema, empty and at position 0.

    They are not logged, which is quicker: a crash of the server takes the run with it anyway.
    """
    with within(engine, schema).begin() as connection:
        for read_model in read_models:
            create_tables(connection, read_model)
            for table in read_model.metadata.sorted_tables:
                connection.execute(text(f'ALTER TABLE {schema}."{table.name}" SET UNLOGGED'))


def under_way(engine: Engine) -> list[UnderWay]:
    """What is being built now, in whatever process."""
    holders = text(
        "SELECT nspname FROM pg_namespace JOIN pg_locks ON locktype = 'advisory'"
        f" AND classid = {_LOCK} AND objid::bigint = hashtext(nspname)::bigint & 4294967295"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        f" WHERE {_OURS} ORDER BY 1"
    )
    with engine.connect() as connection:
        schemas = connection.scalars(holders).all()
    return [one for schema in schemas for one in positions_in(engine, schema)]


def positions_in(engine: Engine, schema: str) -> list[UnderWay]:
    """How far the read models of a scratch schema are; nothing, once it is gone."""
    query = text(f"SELECT read_model, position FROM {schema}.positions ORDER BY 1")
    try:
        with engine.connect() as connection:
            return [UnderWay(*row) for row in connection.execute(query)]
    except ProgrammingError:
        return []
