"""Replacing a live read model by a rebuilt one: no query fails, and none reads an older state.

A transaction that began before the switch may read the new tables after it. Its snapshot must
contain all their rows, so a switch waits for transactions older than the last row. It locks the
live tables exclusively for a moment, and gives up quickly if a reader holds them: all other readers
would queue behind it.
"""

import logging
import time

from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError

from projections.engine.build import advance
from projections.engine.follow import EventSource
from projections.engine.read_model import CHANNEL, SCHEMA, ReadModel, positions
from projections.engine.scratch import within

LOCK_SECONDS = 0.1
"""The longest time that readers wait for a switch."""

SNAPSHOT_SECONDS = 1.0
"""The longest time that a read model is not updated while older transactions end."""

PAUSE_SECONDS = 0.5

log = logging.getLogger(__name__)


class _ReaderInTheWay(Exception):
    pass


def switch(
    engine: Engine,
    source: EventSource,
    read_model: ReadModel,
    schema: str,
) -> int:
    """Make the tables of a scratch schema the live ones, at the log's end; return the position.

    Also for a read model that is not live yet. Retries until no reader is in the way.
    """
    while True:
        try:
            return _try(engine, source, read_model, schema)
        except (_ReaderInTheWay, OperationalError) as busy:
            if isinstance(busy, OperationalError) and "lock timeout" not in str(busy.orig):
                raise
            log.info("%s is not switched yet: a query holds its tables", read_model.name)
        time.sleep(PAUSE_SECONDS)


def hold(connection: Connection, read_model: ReadModel) -> int | None:
    """Lock a live read model at its position until the transaction ends; return the position."""
    condition = positions.c.read_model == read_model.name
    row = connection.execute(select(positions).where(condition).with_for_update()).first()
    return None if row is None else int(row.position)


def _try(
    engine: Engine,
    source: EventSource,
    read_model: ReadModel,
    schema: str,
) -> int:
    tables = read_model.metadata.sorted_tables
    beside = within(engine, schema)
    # So that little is left to do while the live one is locked.
    advance(beside, source, read_model, source.head())
    with engine.begin() as connection:
        live = hold(connection, read_model)
        position = max(live or 0, source.head())
        advance(beside, source, read_model, position)
        if live is not None:
            _await_older_snapshots(connection)
            connection.execute(text(f"SET LOCAL lock_timeout = {round(LOCK_SECONDS * 1000)}"))
            names = ", ".join(f'{SCHEMA}."{table.name}"' for table in tables)
            connection.execute(text(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE"))
            for table in reversed(tables):
                _copy_grants(connection, f'{SCHEMA}."{table.name}"', f'{schema}."{table.name}"')
                connection.execute(text(f'DROP TABLE {SCHEMA}."{table.name}"'))
        for table in tables:
            connection.execute(text(f'ALTER TABLE {schema}."{table.name}" SET SCHEMA {SCHEMA}'))
        reached = insert(positions).values(read_model=read_model.name, position=position)
        connection.execute(
            reached.on_conflict_do_update(
                index_elements=["read_model"], set_={"position": position}
            )
        )
        connection.execute(select(func.pg_notify(CHANNEL, str(position))))
    return position


def _await_older_snapshots(connection: Connection) -> None:
    """Return when all transactions with a snapshot older than now have ended."""
    query = text(
        "SELECT pid, xact_start FROM pg_stat_activity WHERE datname = current_database()"
        " AND backend_xmin IS NOT NULL AND pid <> pg_backend_pid()"
    )
    deadline = time.monotonic() + SNAPSHOT_SECONDS
    older = set(connection.execute(query).all())
    while older:
        if time.monotonic() > deadline:
            raise _ReaderInTheWay
        time.sleep(0.005)
        # Within a transaction, pg_stat_activity would return its first result again.
        connection.execute(text("SELECT pg_stat_clear_snapshot()"))
        older &= set(connection.execute(query).all())


def _copy_grants(connection: Connection, old: str, new: str) -> None:
    grants = text(
        "SELECT format('GRANT %s ON %s TO %s', privilege_type, CAST(:new AS text),"
        " CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE CAST(grantee::regrole AS text) END)"
        " FROM pg_class, aclexplode(relacl) WHERE pg_class.oid = CAST(:old AS regclass)"
    )
    for grant in connection.scalars(grants, {"old": old, "new": new}).all():
        connection.execute(text(grant))
