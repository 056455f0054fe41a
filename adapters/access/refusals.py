"""Refused requests, counted by minute, account, route and reason, and kept for a month."""

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
MAX_KINDS = 10_000
"""Kinds of refusals held in memory while the database does not answer; more are dropped."""

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
    """The key by which refusals are counted; `account` is empty if nobody was signed in."""

    minute: datetime
    account: str
    method: str
    route: str
    reason: str


class RefusalRow(msgspec.Struct, frozen=True):
    """The number of requests of one kind that were refused in a minute."""

    refusal_id: int
    minute: datetime
    account: str
    method: str
    route: str
    reason: str
    count: int


class Refusals:
    """Counts refusals in memory and writes the counts twice a second, in a thread of its own.

    There is one row for each kind and minute, however many requests are refused. A kill loses the
    counts of the last half second.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._counts: Counter[RefusalKind] = Counter()
        self._changing = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="refusals", daemon=True)
        self._thread.start()

    def note(self, account: str, method: str, route: str, reason: str) -> None:
        minute = datetime.now(UTC).replace(second=0, microsecond=0)
        kind = RefusalKind(minute, account, method, route, reason)
        with self._changing:
            if kind in self._counts or len(self._counts) < MAX_KINDS:
                self._counts[kind] += 1

    def close(self) -> None:
        """Write the counts, and stop the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        until_prune = 0.0
        while not self._stop.wait(WRITE_SECONDS):
            self._write(prune=until_prune <= 0)
            until_prune = PRUNE_SECONDS if until_prune <= 0 else until_prune - WRITE_SECONDS
        self._write(prune=False)

    def _write(self, *, prune: bool) -> None:
        with self._changing:
            counts, self._counts = self._counts, Counter()
        if not counts and not prune:
            return
        try:
            with self._engine.begin() as connection:
                rows = [
                    msgspec.structs.asdict(kind) | {"count": count}
                    for kind, count in sorted(counts.items(), key=lambda item: str(item[0]))
                ]
                if rows:
                    connection.execute(_COUNT, rows)
                if prune:
                    connection.execute(_PRUNE, {"oldest": datetime.now(UTC) - KEPT})
        except SQLAlchemyError as error:
            log.warning("refusals cannot be written yet: %s", error)
            with self._changing:
                self._counts.update(counts)


def list_refusals(
    connection: Connection, *, before: int, limit: int, account: str | None = None
) -> list[RefusalRow]:
    """Refusals of an account or of all, newest first; `before` is the id of the last row seen."""
    parameters = {"before": before, "account": account, "limit": limit}
    return [RefusalRow(*row) for row in connection.execute(_LIST, parameters)]
