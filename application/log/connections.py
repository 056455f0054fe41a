"""The log's pool of connections, which the server may have ended: how that is noticed, and reads
tried again."""

import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import psycopg
from eventsourcing.persistence import InterfaceError, OperationalError
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.exc import TimeoutError as InUse
from sqlalchemy.pool import QueuePool

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

POOL_SECONDS = 5.0
"""How long a thread waits for a connection that others use."""
_RENEW_SECONDS = 3600


class AllInUse(psycopg.OperationalError):
    """All connections of the pool were in use for too long."""


class DirectPool:
    """A pool that connects in the thread which needs a connection.

    So it is known at once that no server answers. psycopg's own pool connects in the background,
    and all who need a connection meanwhile wait until their time is up.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]], size: int) -> None:
        self._pool = QueuePool(
            connect,  # type: ignore[arg-type]  # psycopg's connections are DBAPI's
            pool_size=size,
            max_overflow=0,
            timeout=POOL_SECONDS,
            recycle=_RENEW_SECONDS,
            use_lifo=True,
            reset_on_return=None,  # connections are in auto-commit mode
        )
        event.listen(self._pool, "checkout", replace_closed)

    def open(self, *_: object) -> None:
        """Connections are opened when they are needed."""

    def close(self) -> None:
        self._pool.dispose()

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection for the block. Raises `AllInUse`, or psycopg's error for a server that does
        not answer."""
        try:
            pooled = self._pool.connect()
        except InUse as error:
            raise AllInUse("all connections to the database are in use") from error
        driver = pooled.driver_connection
        assert isinstance(driver, psycopg.Connection)
        try:
            yield driver
        finally:
            if driver.info.transaction_status != TransactionStatus.IDLE:
                pooled.invalidate()
            pooled.close()


def replace_closed(connection: Any, *_: object) -> None:
    """Let a pool of SQLAlchemy replace a connection that the server has closed."""
    try:
        check_connection(connection)
    except psycopg.Error as error:
        raise DisconnectionError(str(error)) from error


def check_connection(connection: psycopg.Connection[Any]) -> None:
    """Raise `psycopg.OperationalError` if the server has gone.

    A server that ends a connection closes its socket, which then has something to read. Nothing
    has to be sent to see that; only a connection with news is checked.
    """
    poll = select.poll()
    with suppress(psycopg.OperationalError):  # closed already: asking says so
        poll.register(connection.fileno(), select.POLLIN)
        if not poll.poll(0):
            return
    ConnectionPool.check_connection(connection)


def read_again(read: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Repeat a read once if its connection ended after it was checked.

    Not if there is no connection: then another try would only take as long again.
    """

    @wraps(read)
    def repeated(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return read(*args, **kwargs)
        except (InterfaceError, OperationalError) as error:
            if isinstance(error.__cause__, AllInUse):
                raise
            return read(*args, **kwargs)

    return repeated
