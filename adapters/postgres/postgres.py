"""Connections to PostgreSQL for SQLAlchemy, and waiting for notifications."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import psycopg
from sqlalchemy import URL, Engine, NullPool, create_engine, event, make_url, text

from application.log.connections import replace_closed
from application.log.store import KEEPALIVE_OPTIONS

STOP_CHECK = 0.2
"""Seconds between two checks whether to stop."""

_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 7363))")

log = logging.getLogger(__name__)


@lru_cache
def engine_for(url: str, pool_size: int = 4) -> Engine:
    """The process's engine for a `postgresql://` URL; dead connections are replaced."""
    engine = create_engine(
        _with_driver(url), pool_size=pool_size, max_overflow=0, connect_args=KEEPALIVE_OPTIONS
    )
    event.listen(engine, "checkout", replace_closed)
    return engine


def passing_engine(url: str, seconds: float | None = None) -> Engine:
    """An engine that keeps no connection open: for work that is done once.

    `seconds` is the timeout of connecting and of each statement.
    """
    limits: dict[str, object] = {**KEEPALIVE_OPTIONS}
    if seconds is not None:
        options = f"-c statement_timeout={round(seconds * 1000)}"
        limits |= {"connect_timeout": max(2, round(seconds)), "options": options}
    return create_engine(_with_driver(url), poolclass=NullPool, connect_args=limits)


@contextmanager
def one_at_a_time(engine: Engine, name: str) -> Iterator[None]:
    """Wait until nobody else is within under this name, in whatever process."""
    with engine.begin() as connection:
        connection.execute(_ONE_AT_A_TIME, {"name": name})
        yield


def _with_driver(url: str) -> URL:
    return make_url(url).set(drivername="postgresql+psycopg")


def wake_ups(url: str, channel: str, stop: threading.Event, poll: float = 1.0) -> Iterator[None]:
    """Yield at once, then whenever `channel` is notified, and after `poll` seconds at the latest.

    Polling makes it reliable, notifications make it fast. A lost connection is replaced; until then
    the generator only polls. It ends when `stop` is set.
    """
    for _ in notifications(url, channel, stop, poll):
        yield


def notifications(
    url: str, channel: str, stop: threading.Event, poll: float = 1.0
) -> Iterator[list[str]]:
    """The same, with the payloads that have come; none where some may have been missed."""
    connection: psycopg.Connection | None = None
    received: list[str] = []
    try:
        while not stop.is_set():
            if connection is None:
                connection = _listen(url, channel)
                received = []
            yield received
            received = []
            try:
                if connection is None:
                    stop.wait(poll)
                else:
                    received = _await_notifications(connection, stop, poll)
            except psycopg.OperationalError as error:
                log.warning("listening on %s was interrupted: %s", channel, error)
                connection = None
                stop.wait(0.2)
    finally:
        if connection is not None:
            connection.close()


def _await_notifications(
    connection: psycopg.Connection, stop: threading.Event, seconds: float
) -> list[str]:
    """The payloads of what has come, after `seconds` none, or soon after `stop` is set."""
    deadline = time.monotonic() + seconds
    while not stop.is_set() and (left := deadline - time.monotonic()) > 0:
        arrived = connection.notifies(timeout=min(left, STOP_CHECK), stop_after=1)
        if payloads := [notify.payload for notify in arrived]:
            return payloads
    return []


def _listen(url: str, channel: str) -> psycopg.Connection | None:
    try:
        connection = psycopg.connect(url, autocommit=True, connect_timeout=5, **KEEPALIVE_OPTIONS)
        connection.execute(f'LISTEN "{channel}"')
    except psycopg.OperationalError as error:
        log.warning("cannot listen on %s yet: %s", channel, error)
        return None
    return connection
