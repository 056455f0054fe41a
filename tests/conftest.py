"""Fixtures that every folder of tests may take."""

import os
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.migrate import migrate
from adapters.postgres import engine_for
from application.store import Store
from tests.servers import Database, new_database

# Before torch is loaded: threads that spin take the cores from the other tests' processes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def migrated_template(postgres: EmbeddedPostgres) -> Iterator[str]:
    with new_database(postgres) as made:
        migrate(made.admin_url, made.app_url)
        yield made.name


@pytest.fixture
def migrated(postgres: EmbeddedPostgres, migrated_template: str) -> Iterator[Database]:
    """A database as `stemma migrate` leaves it, with no events."""
    with new_database(postgres, migrated_template) as made:
        yield made


@pytest.fixture
def store(migrated: Database) -> Iterator[Store]:
    opened = Store(migrated.app_url)
    yield opened
    opened.close()


@pytest.fixture
def engine(migrated: Database) -> Iterator[Engine]:
    opened = engine_for(migrated.app_url)
    yield opened
    opened.dispose()
