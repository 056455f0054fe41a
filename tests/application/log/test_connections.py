"""The log's pool connects when somebody needs a connection, and says at once if it cannot."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.rows import tuple_row

from application.log.connections import AllInUse, DirectPool
from tests.servers import Database


@pytest.fixture
def made() -> list[psycopg.Connection]:
    return []


@pytest.fixture
def pool(migrated: Database, made: list[psycopg.Connection]) -> Iterator[DirectPool]:
    def connect() -> psycopg.Connection:
        made.append(psycopg.connect(migrated.app_url, autocommit=True, row_factory=tuple_row))
        return made[-1]

    kept = DirectPool(connect, 1)
    yield kept
    kept.close()


def test_a_connection_is_made_when_it_is_needed_and_kept(
    pool: DirectPool, made: list[psycopg.Connection]
) -> None:
    assert made == []
    for _ in range(2):
        with pool.connection() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    assert len(made) == 1


def test_a_connection_that_the_server_closed_is_replaced(
    pool: DirectPool, made: list[psycopg.Connection], migrated: Database
) -> None:
    with pool.connection() as connection:
        process = connection.info.backend_pid
    with psycopg.connect(migrated.admin_url) as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", (process,))
    with pool.connection() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert len(made) == 2


def test_a_connection_in_a_transaction_is_not_kept(
    pool: DirectPool, made: list[psycopg.Connection]
) -> None:
    with pool.connection() as connection:
        connection.execute("BEGIN")
    with pool.connection() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert len(made) == 2


def test_who_waits_too_long_for_others_is_told_so(
    pool: DirectPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool._pool, "_timeout", 0.01)
    with pool.connection(), pytest.raises(AllInUse), pool.connection():
        pass


def test_an_error_of_connecting_is_raised_to_who_needs_the_connection() -> None:
    def refused() -> psycopg.Connection:
        raise psycopg.OperationalError("nobody listens")

    with (
        pytest.raises(psycopg.OperationalError, match="nobody"),
        DirectPool(refused, 1).connection(),
    ):
        pass
