"""Progress of imports: one row per import that is overwritten, and not an event."""

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

from application.log.store import KEEPALIVE_OPTIONS

EVERY = 0.5
"""Seconds between two updates of the row."""


class Phase(StrEnum):
    UNPACKING = "unpacking"
    CHECKING = "checking"
    TAKING = "taking"


class ImportProgress(msgspec.Struct, frozen=True):
    """Progress in a phase: `done` of `total` images; the total is None while it is unknown."""

    phase: str
    done: int
    total: int | None
    updated_at: datetime


class Progress:
    """The writer of one import's progress row."""

    def __init__(self, connection: "psycopg.Connection[Any]", import_id: str) -> None:
        self._connection = connection
        self._import_id = import_id
        self._phase: Phase | None = None
        self._written_at = 0.0

    def show(self, phase: Phase, done: int, total: int | None) -> None:
        """Write the row, unless the same phase was written less than `EVERY` seconds ago."""
        now = time.monotonic()
        if phase == self._phase and now - self._written_at < EVERY and done != total:
            return
        self._phase, self._written_at = phase, now
        self._connection.execute(
            "INSERT INTO work.imports (import_id, phase, done, total) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (import_id) DO UPDATE SET phase = excluded.phase, done = excluded.done,"
            " total = excluded.total, updated_at = now()",
            (self._import_id, phase, done, total),
        )


class ImportUnderWay(Exception):
    """Another process runs this import."""


@contextmanager
def claimed(database_url: str, import_id: str) -> Iterator[Progress]:
    """Hold the lock on an import, which is released with this process or its connection.

    Raises `ImportUnderWay` if another process holds it.
    """
    with psycopg.connect(database_url, autocommit=True, **KEEPALIVE_OPTIONS) as connection:
        key = (_LOCK, zlib.crc32(import_id.encode()) - 2**31)
        [held] = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", key).fetchone() or [
            False
        ]
        if not held:
            raise ImportUnderWay(f"import {import_id} is running in another process")
        try:
            yield Progress(connection, import_id)
        finally:
            # The server notices a closed connection with a delay, and the next process may try
            # before. A broken connection releases the lock when it ends.
            with suppress(psycopg.OperationalError):
                connection.execute("SELECT pg_advisory_unlock(%s, %s)", key)


_LOCK = 73637741


def progress_of(connection: Connection, import_id: str) -> ImportProgress | None:
    """The progress of an import, or None before it has started."""
    row = connection.execute(
        text("SELECT phase, done, total, updated_at FROM work.imports WHERE import_id = :key"),
        {"key": import_id},
    ).first()
    return None if row is None else ImportProgress(**row._mapping)
