"""A migrated PostgreSQL for a benchmark, and the library's settings for it."""

import atexit
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
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
    """A server with the settings of `stemma up` and an empty event log."""
    copy_prepared(folder)
    with EmbeddedPostgres(folder) as server:
        yield server


def copy_prepared(folder: Path) -> None:
    """Make it a data folder whose database is migrated, as `stemma up` leaves one."""
    subprocess.run(["cp", "-a", f"{_prepared()}/.", folder], check=True)
    # Written now, and not during what is measured next.
    subprocess.run(["sync", "--file-system", folder], check=True)


@cache
def _prepared() -> Path:
    """Made once for all benchmarks of a process."""
    folder = Path(tempfile.mkdtemp(prefix="stemma-bench-"))
    atexit.register(shutil.rmtree, folder)
    with EmbeddedPostgres(folder) as server:
        migrate(server.admin_url, server.app_url)
    return folder


@contextmanager
def opened(url: str) -> Iterator[tuple[Store, Engine]]:
    """The event log and an engine for the read models, opened as services do."""
    store, engine = Store(url), engine_for(url)
    try:
        yield store, engine
    finally:
        store.close()
        engine.dispose()


def checkpoint(admin_url: str) -> None:
    """Write dirty pages, so that a measurement does not include writes of the previous one."""
    url = sqlalchemy.make_url(admin_url).set(drivername="postgresql+psycopg")
    engine = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("CHECKPOINT"))
    engine.dispose()


def library_environment(url: str, schema: str) -> dict[str, str]:
    """The settings of the `eventsourcing` library; all others keep their defaults."""
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
