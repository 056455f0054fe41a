"""Keeping read models up with the log: page by page, position and rows in one transaction."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from sqlalchemy import Connection, Engine, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from domain.event import Recorded
from projections.engine.read_model import CHANNEL, ReadModel, Write, positions
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
"""Told of a page that a read model has taken in, and when that began (ns since the epoch)."""


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
    positions.create(connection, checkfirst=True)
    read_model.metadata.create_all(connection)
    start = insert(positions).values(read_model=read_model.name, position=0)
    connection.execute(start.on_conflict_do_nothing())


def position_of(connection: Connection, name: str) -> int:
    """How far a read model is. Raises `LookupError` if it has not been made."""
    found = connection.scalar(select(positions.c.position).where(positions.c.read_model == name))
    if found is None:
        raise LookupError(f"read model {name} does not exist here: run `stemma migrate`")
    return int(found)


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
    ) -> None:
        self._engine = engine
        self._source = source
        self._read_models = read_models
        self._moved = moved

    def catch_up(self, *, upto: int | None = None) -> int:
        """Bring every read model to the log's end, or to `upto`; return how many pages it took.

        An exception of one read model is raised after the others have had their turn.
        """
        pages = 0
        while moved := self._round(upto):
            pages += moved
        return pages

    def _round(self, upto: int | None) -> int:
        read: dict[int, list[Recorded]] = {}
        moved = 0
        failure: Exception | None = None
        for read_model in self._read_models:
            try:
                moved += self._step(read_model, upto, read)
            except LostRace as lost:
                log.info("%s", lost)
            except Exception as error:
                error.add_note(f"in read model {read_model.name}")
                failure = error
        if failure is not None and not moved:
            raise failure
        return moved

    def _step(
        self, read_model: ReadModel, upto: int | None, read: dict[int, list[Recorded]]
    ) -> int:
        began = time.time_ns()
        with self._engine.begin() as connection:
            after = position_of(connection, read_model.name)
            if after not in read:
                read[after] = self._source.read(after, limit=PAGE, upto=upto)
            if not read[after]:
                return 0
            reached = read[after][-1].position
            writes = read_model.project(read[after])
            write_page(connection, read_model.name, after, reached, writes)
            connection.execute(select(func.pg_notify(CHANNEL, str(reached))))
        self._moved(read_model, read[after], began)
        return 1


def positions_of(
    connection: Connection, read_models: Sequence[ReadModel]
) -> Iterator[tuple[str, int]]:
    """The name and position of each; those that an older program left behind are not moved."""
    query = select(positions).order_by(positions.c.read_model)
    names = [one.name for one in read_models]
    for row in connection.execute(query.where(positions.c.read_model.in_(names))):
        yield row.read_model, row.position
