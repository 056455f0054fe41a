"""How far an import is, for those who wait: a row that is overwritten, and no part of history."""

import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
import psycopg
from sqlalchemy import Connection, text

from application.log.store import GIVES_UP

EVERY = 0.5
"""Seconds between two updates of the row."""


class Phase(StrEnum):
    UNPACKING = "unpacking"
    CHECKING = "checking"
    TAKING = "taking"


class ImportProgress(msgspec.Struct, frozen=True):
    """`done` of `total` images in a phase; the total is None while it is not known."""

    phase: str
    done: int
    total: int | None
    updated_at: datetime


class Progress:
    """Writes the row of one import."""

    def __init__(self, connection: "psycopg.Connection[Any]", import_id: str) -> None:
        self._connection = connection
        self._import_id = import_id
        self._phase: Phase | None = None
        self._shown = 0.0

    def show(self, phase: Phase, done: int, total: int | None) -> None:
        """Show the place, unless the same phase was shown a moment ago."""
        now = time.monotonic()
        if phase == self._phase and now - self._shown < EVERY and done != total:
            return
        self._phase, self._shown = phase, now
        self._connection.execute(
            "INSERT INTO work.imports (import_id, phase, done, total) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (import_id) DO UPDATE SET phase = excluded.phase, done = excluded.done,"
            " total = excluded.total, updated_at = now()",
            (self._import_id, phase, done, total),
        )


class ImportUnderWay(Exception):
    """Another process carries this import out."""


@contextmanager
def claimed(database_url: str, import_id: str) -> Iterator[Progress]:
    """Hold the right to carry an import out, which ends with this process or its connection.

    Raises `ImportUnderWay` if another holds it.
    """
    with psycopg.connect(database_url, autocommit=True, **GIVES_UP) as connection:
        key = (_IMPORTS, zlib.crc32(import_id.encode()) - 2**31)
        [held] = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", key).fetchone() or [
            False
        ]
        if not held:
            raise ImportUnderWay(f"import {import_id} is under way in another process")
        try:
            yield Progress(connection, import_id)
        finally:
            # The server notices the connection's end a moment later, and the next one may be there
            # by then. Where the connection is broken, its end is what releases.
            with suppress(psycopg.OperationalError):
                connection.execute("SELECT pg_advisory_unlock(%s, %s)", key)


_IMPORTS = 73637741


def progress_of(connection: Connection, import_id: str) -> ImportProgress | None:
    """The row of an import, None before it has begun."""
    row = connection.execute(
        text("SELECT phase, done, total, updated_at FROM work.imports WHERE import_id = :key"),
        {"key": import_id},
    ).first()
    return None if row is None else ImportProgress(**row._mapping)
