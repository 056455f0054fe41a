"""A migrated PostgreSQL of the benchmark's own, and the library's settings for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg.conninfo
import sqlalchemy
from sqlalchemy import Engine

from adapters.postgres.migrate import migrate
from adapters.postgres.postgres import engine_for
from adapters.servers.postgres import EmbeddedPostgres
from application.log.store import Store


@contextmanager
def migrated_postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server, every setting as `stemma up` runs it, with an empty event log."""
    with EmbeddedPostgres(folder) as server:
        migrate(server.admin_url, server.app_url)
        yield server


@contextmanager
def opened(url: str) -> Iterator[tuple[Store, Engine]]:
    """The log and the read models, as the parts open them."""
    store, engine = Store(url), engine_for(url)
    try:
        yield store, engine
    finally:
        store.close()
        engine.dispose()


def checkpoint(admin_url: str) -> None:
    """Write dirty pages out, so that one measurement does not pay for the one before it."""
    url = sqlalchemy.make_url(admin_url).set(drivername="postgresql+psycopg")
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("CHECKPOINT"))
    engine.dispose()


def library_environment(url: str, schema: str) -> dict[str, str]:
    """What the `eventsourcing` library needs to know; everything else keeps its default."""
    info = psycopg.conninfo.conninfo_to_dict(url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(info["dbname"]),
        "POSTGRES_HOST": str(info["host"]),
        "POSTGRES_PORT": str(info["port"]),
        "POSTGRES_USER": str(info["user"]),
        "POSTGRES_PASSWORD": str(info["password"]),
        "POSTGRES_SCHEMA": schema,
    }
