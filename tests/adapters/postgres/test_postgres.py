"""Connections to PostgreSQL notice that the server is cut off, though nothing tells them."""

import socket
from typing import Any

import psycopg
import pytest

from adapters.postgres.postgres import engine_for, passing_engine
from application.log.store import Store
from tests.servers import Database


def patience(connection: psycopg.Connection[Any]) -> tuple[int, int]:
    """Milliseconds until data that nobody takes is given up, and seconds of silence before the
    first question whether the other side is there."""
    with socket.socket(fileno=socket.dup(connection.pgconn.socket)) as held:
        return (
            held.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
            held.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
        )


def test_each_connection_gives_a_silent_server_up(store: Store, migrated: Database) -> None:
    for engine in (
        engine_for(migrated.app_url),
        passing_engine(migrated.app_url),
        passing_engine(migrated.app_url, 2.0),
    ):
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, psycopg.Connection)
            assert patience(driver) == (9_000, 3)
    with store._recorder.datastore.get_connection() as held:
        assert patience(held) == (9_000, 3)


@pytest.mark.parametrize("seconds", [0.0, 0.01])
def test_an_engine_that_is_told_how_long_a_statement_may_take_ends_it(
    migrated: Database, seconds: float
) -> None:
    with passing_engine(migrated.app_url, seconds or None).connect() as connection:
        told = connection.exec_driver_sql("SHOW statement_timeout").scalar()
    assert told == ("10ms" if seconds else "0")
