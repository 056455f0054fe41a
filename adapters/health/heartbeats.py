"""Heartbeats of the backend's parts, in the table `work.parts`."""

import logging
import os
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
import psycopg
from sqlalchemy import Connection, text

from adapters.observability.masking import masked
from application.log.store import KEEPALIVE_OPTIONS

BEAT_SECONDS = 3.0
SILENT_SECONDS = 15.0
"""A part without a heartbeat for this long counts as dead."""
_FORGET = "1 day"
_LONGEST_ERROR = 500

_BEAT = """
    INSERT INTO work.parts (part, process, failures, failed_at, error)
    VALUES (%(part)s, %(process)s, %(failures)s,
            now() - make_interval(secs => %(failed_ago)s), %(error)s)
    ON CONFLICT (part, process) DO UPDATE SET beat_at = now(), failures = excluded.failures,
        failed_at = excluded.failed_at, error = excluded.error
"""
_LEAVE = "DELETE FROM work.parts WHERE process = %(process)s AND part = ANY(%(parts)s)"
_PRUNE = f"DELETE FROM work.parts WHERE beat_at < now() - interval '{_FORGET}'"
_LATEST = """
    SELECT part, process, extract(epoch FROM now() - beat_at)::float8 AS silent,
           failures, extract(epoch FROM now() - failed_at)::float8 AS failed_ago, error
    FROM work.parts ORDER BY part, beat_at DESC
"""

log = logging.getLogger(__name__)


class ServiceHeartbeat(msgspec.Struct, frozen=True):
    """The last heartbeat of a service in a process: its age in seconds, and that of the service's
    last failure, if any. `error` is its message, which may name what only users should see."""

    part: str
    process: str
    silent: float
    failures: int
    failed_ago: float | None
    error: str | None


@dataclass
class _State:
    failures: int = 0
    failed_at: float | None = None
    error: str | None = None


class Heartbeats:
    """Writes a heartbeat for each running part every few seconds, from a thread of its own."""

    def __init__(self, database_url: str, parts: Iterable[str]) -> None:
        self._url = database_url
        self._process = f"{socket.gethostname()}-{os.getpid()}"
        self._parts = list(parts)
        self._states = {part: _State() for part in self._parts}
        self._beat_at = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeats")

    def __enter__(self) -> "Heartbeats":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def failed(self, part: str, error: Exception) -> None:
        """Record a failure of the part, which restarts by itself."""
        state = self._states[part]
        state.failures, state.failed_at = state.failures + 1, time.monotonic()
        state.error = described(error)

    def runs(self, part: str) -> bool:
        return part in self._states

    def failures_of(self, part: str) -> tuple[int, float | None]:
        """The number of failures, and seconds since the last one."""
        state = self._states.get(part, _State())
        ago = None if state.failed_at is None else time.monotonic() - state.failed_at
        return state.failures, ago

    def silent(self) -> float:
        """Seconds since the last heartbeat was written, or since the start if none was."""
        return time.monotonic() - self._beat_at

    def ended(self, part: str) -> None:
        """Write no more heartbeats for this part."""
        self._states.pop(part, None)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with psycopg.connect(
                    self._url, autocommit=True, connect_timeout=5, **KEEPALIVE_OPTIONS
                ) as connection:
                    self._beat(connection)
                    leaving = {"process": self._process, "parts": self._parts}
                    connection.execute(_LEAVE, leaving)
            except psycopg.Error as error:
                log.warning("heartbeats cannot be written: %s", error)
                self._stop.wait(BEAT_SECONDS)

    def _beat(self, connection: psycopg.Connection) -> None:
        connection.execute(_PRUNE)
        while True:
            for part, state in list(self._states.items()):
                failures, ago = self.failures_of(part)
                connection.execute(
                    _BEAT,
                    {
                        "part": part,
                        "process": self._process,
                        "failures": failures,
                        "failed_ago": ago,
                        "error": state.error,
                    },
                )
            self._beat_at = time.monotonic()
            if self._stop.wait(BEAT_SECONDS):
                return


def described(error: Exception) -> str:
    """An error as text for operators: short, and without secrets."""
    return masked(f"{type(error).__name__}: {error}")[:_LONGEST_ERROR]


def latest_heartbeats(connection: Connection) -> list[ServiceHeartbeat]:
    """The last heartbeat of each process that ran a part lately, by part, the latest first."""
    return [ServiceHeartbeat(*row) for row in connection.execute(text(_LATEST))]
