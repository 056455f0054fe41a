"""Commands whose exit status tells a finding, 1, from what could not be looked at, 2."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from domain.text import escaped

NOT_LOOKED = 2
CONNECT_SECONDS = 10


@contextmanager
def reading(url: str | None = None) -> Iterator[None]:
    """Report what keeps the database or a file from being read in a line; the exit status is 2.

    The database at `url` is tried first: a pool of connections does not say why it has none.
    """
    import psycopg
    from eventsourcing.persistence import PersistenceError
    from sqlalchemy.exc import DBAPIError

    try:
        if url is not None:
            psycopg.connect(url, connect_timeout=CONNECT_SECONDS).close()
        yield
    except (psycopg.Error, PersistenceError, DBAPIError, OSError) as error:
        lines = str(_cause(error)).split("\n")
        text = "; ".join(line.strip() for line in lines if line.strip()) or type(error).__name__
        click.echo(f"stemma: could not read: {escaped(text)}", err=True)
        sys.exit(NOT_LOOKED)


def _cause(error: BaseException) -> BaseException:
    """The error of PostgreSQL that a library has wrapped."""
    while error.__cause__ is not None and not isinstance(error, OSError):
        error = error.__cause__
    return error
