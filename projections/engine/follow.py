"""Keeping read models up with the log: page by page, position and rows in one transaction."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from sqlalchemy import Connection, Engine, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from domain.event import Recorded
from projections.engine import failing
from projections.engine.read_model import (
    CHANNEL,
    ReadModel,
    Write,
    bookkeeping,
    failures,
    positions,
)
from projections.engine.writes import execute

PAGE = 1000

_SETTINGS = (
    # A crash may lose this commit, but never the rows without the position: it is done again.
    "SET LOCAL synchronous_commit = off;"
    # Rows are changed by their keys. A plan that was made for small tables and is kept must not
    # read them whole when they have grown.
    " SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off;"
    " SET LOCAL enable_mergejoin = off; SET LOCAL jit = off"
)

log = logging.getLogger(__name__)


Moved = Callable[[ReadModel, Sequence[Recorded], int], None]
"""Called with a page that a read model has projected, and when that began (ns since the epoch)."""


class EventSource(Protocol):
    """The event log, as far as read models see it."""

    def read(
        self, after: int, *, limit: int = ..., upto: int | None = ..., skip: Sequence[str] = ...
    ) -> list[Recorded]: ...

    def head(self) -> int: ...


class LostRace(Exception):
    """Another runner moved the read model first; nothing of this page was written."""


def create_tables(connection: Connection, read_model: ReadModel) -> None:
    """Make a read model's tables, empty and at position 0, where they are not there yet."""
    bookkeeping.create_all(connection)
    read_model.metadata.create_all(connection)
    start = insert(positions).values(read_model=read_model.name, position=0)
    connection.execute(start.on_conflict_do_nothing())


def position_of(connection: Connection, name: str) -> int:
    """How far a read model is. Raises `LookupError` if it has not been made."""
    return _position_and_failures(connection, name)[0]


def _position_and_failures(connection: Connection, name: str) -> tuple[int, int]:
    """The same, and how often it has failed in a row."""
    counted = func.coalesce(failures.c.failures, 0)
    both = positions.outerjoin(failures, failures.c.read_model == positions.c.read_model)
    query = select(positions.c.position, counted).select_from(both)
    row = connection.execute(query.where(positions.c.read_model == name)).first()
    if row is None:
        raise LookupError(f"read model {name} does not exist here: run `stemma migrate`")
    return int(row[0]), int(row[1])


def write_page(
    connection: Connection, name: str, after: int, reached: int, writes: Iterable[Write]
) -> None:
    """Write what a page comes to in the connection's transaction, first the guarded move.

    Raises `LostRace` if the read model is not at `after` any more.
    """
    connection.execute(text(_SETTINGS))
    moved = connection.execute(
        update(positions)
        .where(positions.c.read_model == name, positions.c.position == after)
        .values(position=reached)
    )
    if moved.rowcount != 1:
        raise LostRace(f"{name} is no longer at position {after}")
    execute(connection, writes)


class Follower:
    """Moves read models along the log; each is independent of the others and of its failures."""

    def __init__(
        self,
        engine: Engine,
        source: EventSource,
        read_models: Sequence[ReadModel],
        moved: Moved = lambda *_: None,
        describe: Callable[[Exception], str] = repr,
    ) -> None:
        self._engine = engine
        self._source = source
        self._read_models = read_models
        self._moved = moved
        self._describe = describe
        self._retry_at: dict[str, float] = {}

    def catch_up(self, *, upto: int | None = None) -> int:
        """Bring every read model to the log's end, or to `upto`; return how many pages it took.

        An exception of one read model is raised after the others have had their turn.
        """
        pages = 0
        while True:
            moved, errors = self._round(self._read_models, upto)
            if errors and not moved:
                raise next(reversed(errors.values()))
            if not moved:
                return pages
            pages += moved

    def keep_up(self) -> None:
        """Bring every read model to the log's end, but those whose pause after a failure is on.

        A failure is recorded, which the others do not wait for. Raises if that is not possible.
        """
        while True:
            now = time.monotonic()
            due = [
                model for model in self._read_models if self._retry_at.get(model.name, 0.0) <= now
            ]
            # Those that failed come last, so that none waits for them.
            due.sort(key=lambda model: model.name in self._retry_at)
            moved, errors = self._round(due, None)
            for name in {model.name for model in due} - errors.keys():
                self._retry_at.pop(name, None)
            for name, error in errors.items():
                self._postpone(name, error)
            if not moved:
                return

    def _postpone(self, name: str, error: Exception) -> None:
        with self._engine.begin() as connection:
            count = failing.record_failure(connection, name, self._describe(error))
        pause = failing.pause_after(count)
        self._retry_at[name] = time.monotonic() + pause
        log.error(
            "read model %s failed, %d times in a row; it is tried again in %.1f s",
            name,
            count,
            pause,
            exc_info=error,
        )

    def _round(
        self, read_models: Sequence[ReadModel], upto: int | None
    ) -> tuple[int, dict[str, Exception]]:
        """A page for each; how many there were, and the errors of those that failed, by name."""
        read: dict[int, list[Recorded]] = {}
        moved = 0
        errors: dict[str, Exception] = {}
        for read_model in read_models:
            try:
                moved += self._step(read_model, upto, read)
            except LostRace as lost:
                log.info("%s", lost)
            except Exception as error:
                error.add_note(f"in read model {read_model.name}")
                errors[read_model.name] = error
        return moved, errors

    def _step(
        self, read_model: ReadModel, upto: int | None, read: dict[int, list[Recorded]]
    ) -> int:
        began = time.time_ns()
        with self._engine.begin() as connection:
            after, failed = _position_and_failures(connection, read_model.name)
            if after not in read:
                read[after] = self._source.read(after, limit=PAGE, upto=upto)
            if read[after]:
                reached = read[after][-1].position
                writes = read_model.project(read[after])
                write_page(connection, read_model.name, after, reached, writes)
                connection.execute(select(func.pg_notify(CHANNEL, str(reached))))
            if failed:
                failing.record_recovery(connection, read_model.name)
        if not read[after]:
            return 0
        self._moved(read_model, read[after], began)
        return 1


def positions_of(
    connection: Connection, read_models: Sequence[ReadModel]
) -> Iterator[tuple[str, int]]:
    """The name and position of each; those that an older program left behind are not moved."""
    query = select(positions).order_by(positions.c.read_model)
    names = [model.name for model in read_models]
    for row in connection.execute(query.where(positions.c.read_model.in_(names))):
        yield row.read_model, row.position
