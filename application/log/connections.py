"""Pooled connections that the server may have ended: how that is noticed, and reads tried again."""

import select
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import psycopg
from eventsourcing.persistence import InterfaceError, OperationalError
from psycopg_pool import ConnectionPool, PoolTimeout

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


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

    Not if the server lets nobody in: then another try would only take as long again.
    """

    @wraps(read)
    def repeated(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        try:
            return read(*args, **kwargs)
        except (InterfaceError, OperationalError) as error:
            if isinstance(error.__cause__, PoolTimeout):
                raise
            return read(*args, **kwargs)

    return repeated
