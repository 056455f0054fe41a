"""Requests that were refused, counted by the minute, account, route and reason, for a month."""

import logging
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import msgspec
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

KEPT = timedelta(days=30)
WRITE_SECONDS = 0.5
PRUNE_SECONDS = 3600.0
KINDS_AT_MOST = 10_000
"""Kinds of refusals that wait in memory while the database does not answer; more are not kept."""

log = logging.getLogger(__name__)

_COUNT = text("""
    INSERT INTO work.refusals AS known (minute, account, method, route, reason, count)
    VALUES (:minute, :account, :method, :route, :reason, :count)
    ON CONFLICT (minute, account, method, route, reason)
    DO UPDATE SET count = known.count + excluded.count
""")
_PRUNE = text("DELETE FROM work.refusals WHERE minute < :oldest")
_LIST = text("""
    SELECT refusal_id, minute, account, method, route, reason, count FROM work.refusals
    WHERE refusal_id < :before AND (CAST(:account AS text) IS NULL OR account = :account)
    ORDER BY refusal_id DESC LIMIT :limit
""")


class RefusalKind(msgspec.Struct, frozen=True):
    """What is counted together; `account` is empty where nobody was signed in."""

    minute: datetime
    account: str
    method: str
    route: str
    reason: str


class RefusalRow(msgspec.Struct, frozen=True):
    """So many requests of a minute that were refused alike."""

    refusal_id: int
    minute: datetime
    account: str
    method: str
    route: str
    reason: str
    count: int


class Refusals:
    """Takes note of refusals in memory and writes them twice a second, in a thread of its own.

    However many requests are refused, there is a row for each kind and minute. What was noted in
    the half second before a kill is lost.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._noted: Counter[RefusalKind] = Counter()
        self._changing = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="refusals", daemon=True)
        self._thread.start()

    def note(self, account: str, method: str, route: str, reason: str) -> None:
        minute = datetime.now(UTC).replace(second=0, microsecond=0)
        kind = RefusalKind(minute, account, method, route, reason)
        with self._changing:
            if kind in self._noted or len(self._noted) < KINDS_AT_MOST:
                self._noted[kind] += 1

    def close(self) -> None:
        """Write what is noted, and end."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        left = 0.0
        while not self._stop.wait(WRITE_SECONDS):
            self._write(prune=left <= 0)
            left = PRUNE_SECONDS if left <= 0 else left - WRITE_SECONDS
        self._write(prune=False)

    def _write(self, *, prune: bool) -> None:
        with self._changing:
            noted, self._noted = self._noted, Counter()
        if not noted and not prune:
            return
        try:
            with self._engine.begin() as connection:
                rows = [
                    msgspec.structs.asdict(kind) | {"count": count}
                    for kind, count in sorted(noted.items(), key=lambda one: str(one[0]))
                ]
                if rows:
                    connection.execute(_COUNT, rows)
                if prune:
                    connection.execute(_PRUNE, {"oldest": datetime.now(UTC) - KEPT})
        except SQLAlchemyError as error:
            log.warning("refusals wait to be written: %s", error)
            with self._changing:
                self._noted.update(noted)


def list_refusals(
    connection: Connection, *, before: int, limit: int, account: str | None = None
) -> list[RefusalRow]:
    """The newest first, of an account or of all; `before` is the id of the last one seen."""
    given = {"before": before, "account": account, "limit": limit}
    return [RefusalRow(*row) for row in connection.execute(_LIST, given)]
