"""Scratch schemas: read models are built in them beside the live ones; a run drops its own at its
end."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import ProgrammingError

from projections.engine.follow import create_tables
from projections.engine.read_model import SCHEMA, ReadModel

_LOCK = 73637742
"""The advisory lock, with a schema's name, that a run holds: an unlocked schema is a leftover."""

_OURS = "(nspname = 'rebuild' OR nspname LIKE 'rebuild\\_%') AND pg_has_role(nspowner, 'USAGE')"


class BuildProgress(NamedTuple):
    """A read model that is being built, and its position."""

    read_model: str
    position: int


@contextmanager
def scratch(engine: Engine) -> Iterator[str]:
    """A new schema for this run, by name. Schemas of killed runs are removed first."""
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
    """Drop the scratch schemas whose run has ended; return their names."""
    schemas = connection.scalars(text(f"SELECT nspname FROM pg_namespace WHERE {_OURS}")).all()
    return [schema for schema in schemas if _remove(connection, schema)]


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
    """The engine with the schema of read models mapped to a scratch schema."""
    return engine.execution_options(schema_translate_map={SCHEMA: schema})


def create_beside(engine: Engine, schema: str, read_models: Sequence[ReadModel]) -> None:
    """Create read models' tables in a scratch schema, empty and at position 0.

    They are UNLOGGED, which is faster: a crash of the server ends the run anyway.
    """
    with within(engine, schema).begin() as connection:
        for read_model in read_models:
            create_tables(connection, read_model)
            for table in read_model.metadata.sorted_tables:
                connection.execute(text(f'ALTER TABLE {schema}."{table.name}" SET UNLOGGED'))


def running_builds(engine: Engine) -> list[BuildProgress]:
    """The read models that are being built now, by any process."""
    holders = text(
        "SELECT nspname FROM pg_namespace JOIN pg_locks ON locktype = 'advisory'"
        f" AND classid = {_LOCK} AND objid::bigint = hashtext(nspname)::bigint & 4294967295"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        f" WHERE {_OURS} ORDER BY 1"
    )
    with engine.connect() as connection:
        schemas = connection.scalars(holders).all()
    return [progress for schema in schemas for progress in positions_in(engine, schema)]


def positions_in(engine: Engine, schema: str) -> list[BuildProgress]:
    """The positions of the read models in a scratch schema; empty if the schema was dropped."""
    query = text(f"SELECT read_model, position FROM {schema}.positions ORDER BY 1")
    try:
        with engine.connect() as connection:
            return [BuildProgress(*row) for row in connection.execute(query)]
    except ProgrammingError:
        return []
