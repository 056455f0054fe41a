"""Keeping read models up with the log: page by page, position and rows in one transaction."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple, Protocol

import msgspec
from sqlalchemy import ARRAY, Connection, Engine, Text, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert

from domain.event import Recorded
from projections.engine import bulk, failing
from projections.engine.read_model import (
    CHANNEL,
    ONLY_READ,
    ReadModel,
    Write,
    bookkeeping,
    failures,
    positions,
)
from projections.engine.statistics import Statistics
from projections.engine.writes import execute_after, fetch

PAGE = 1000

TOGETHER = 100
"""Read models at one position move in one transaction while at most so many events are new. With
more, those that read no images go first, together, and each of the others moves alone."""

_SETTINGS = select(
    *(
        func.set_config(name, "off", True)
        for name in (
            # A crash may lose this commit, but never the rows without the position: it is done
            # again.
            "synchronous_commit",
            # Rows are changed by their keys. A plan that was made for small tables and is kept
            # must not read them whole when they have grown.
            "enable_seqscan",
            "enable_hashjoin",
            "enable_mergejoin",
            "jit",
        )
    )
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
    """Make a read model's tables, empty and at position 0, where they are not there yet, and the
    indexes that only queries use, which a release may add to tables that are there."""
    bookkeeping.create_all(connection)
    read_model.metadata.create_all(connection)
    for table in read_model.metadata.sorted_tables:
        for index in table.indexes:
            if index.info == ONLY_READ:
                index.create(connection, checkfirst=True)
    start = insert(positions).values(read_model=read_model.name, position=0)
    connection.execute(start.on_conflict_do_nothing())


class Place(NamedTuple):
    """The position of a read model, and how often it has failed in a row."""

    position: int
    failures: int


_PLACES = (
    select(positions.c.read_model, positions.c.position, func.coalesce(failures.c.failures, 0))
    .select_from(positions.outerjoin(failures, failures.c.read_model == positions.c.read_model))
    .where(positions.c.read_model == func.any(bindparam("names", type_=ARRAY(Text))))
)


def places_of(connection: Connection, names: Sequence[str]) -> dict[str, Place]:
    """Where read models are; those that have not been made are absent."""
    rows = fetch(connection, Write(_PLACES, {"names": list(names)}))
    return {name: Place(int(position), int(count)) for name, position, count in rows}


def position_of(connection: Connection, name: str) -> int:
    """How far a read model is. Raises `LookupError` if it has not been made."""
    return _require(places_of(connection, [name]), name).position


def _require(places: Mapping[str, Place], name: str) -> Place:
    if name not in places:
        raise LookupError(f"read model {name} does not exist here: run `stemma migrate`")
    return places[name]


_MOVE = (
    update(positions)
    .where(
        positions.c.read_model == func.any(bindparam("names", type_=ARRAY(Text))),
        positions.c.position == bindparam("after"),
    )
    .values(position=bindparam("reached"))
)


def write_page(
    connection: Connection, names: Sequence[str], after: int, reached: int, writes: Iterable[Write]
) -> None:
    """Write a page to read models in the connection's transaction, after the guarded move.

    Raises `LostRace` if one of them is not at `after` any more.
    """
    move = Write(_MOVE, {"names": list(names), "after": after, "reached": reached})
    if execute_after(connection, move, chain([Write(_SETTINGS, {})], writes)) != len(names):
        raise LostRace(f"{', '.join(names)}: no longer at position {after}")


class Advance(msgspec.Struct, frozen=True):
    """The payload of a notification on `CHANNEL`: these read models are at this position now."""

    position: int
    read_models: tuple[str, ...]


_NOTIFY = select(func.pg_notify(CHANNEL, bindparam("payload")))


def _notification(names: Sequence[str], reached: int) -> Write:
    """The announcement of an advance, sent once the transaction is committed."""
    payload = msgspec.json.encode(Advance(reached, tuple(names))).decode()
    return Write(_NOTIFY, {"payload": payload})


class Page(NamedTuple):
    """Events behind a position, and the position up to which there are no others of interest."""

    events: Sequence[Recorded]
    reached: int


def _page(after: int, events: Sequence[Recorded]) -> Page:
    return Page(events, events[-1].position if events else after)


class _Round(NamedTuple):
    """How many pages were written, the errors of read models that failed, by name, and whether
    there may be more to read."""

    moved: int
    errors: dict[str, Exception]
    more: bool


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
        self._rounds = 0
        self._statistics = Statistics(engine)

    def catch_up(self, *, upto: int | None = None) -> int:
        """Bring every read model to the log's end, or to `upto`; return how many pages it took.

        An exception of one read model is raised after the others have had their turn.
        """
        pages = 0
        while True:
            moved, errors, more = self._round(self._read_models, upto)
            pages += moved
            if errors and not (moved and more):
                raise next(reversed(errors.values()))
            if not (moved and more):
                return pages

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
            moved, errors, more = self._round(due, None)
            for name in {model.name for model in due} - errors.keys():
                self._retry_at.pop(name, None)
            for name, error in errors.items():
                self._postpone(name, error)
            if not (moved and more):
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

    def _round(self, read_models: Sequence[ReadModel], upto: int | None) -> _Round:
        """A page for each."""
        # Not rolled back at its end: that would drop the connection's prepared statements.
        with self._engine.begin() as connection:
            places = places_of(connection, [read_model.name for read_model in read_models])
        moved, more = 0, False
        errors: dict[str, Exception] = {}
        alone = list(read_models)
        for after, at_one_place in _groups(read_models, places).items():
            group, page, full = self._page_of(at_one_place, after, upto)
            more |= full
            if page.reached == after or (group and self._move_together(group, after, page)):
                moved += len(group) if page.reached > after else 0
                alone = [read_model for read_model in alone if read_model not in group]
        self._rounds += 1
        first = [read_model for read_model in alone if bulk.has_turn(read_model, self._rounds)]
        read: dict[int, Page] = {}
        for turn in (first, [read_model for read_model in alone if read_model not in first]):
            before = moved
            for read_model in turn:
                try:
                    moved += self._move_alone(read_model, places, upto, read)
                except LostRace as lost:
                    more = True
                    log.info("%s", lost)
                except Exception as error:
                    error.add_note(f"in read model {read_model.name}")
                    errors[read_model.name] = error
            if more and moved > before:
                break
        more |= any(len(page.events) >= min(PAGE, bulk.PAGE) for page in read.values())
        return _Round(moved, errors, more)

    def _page_of(
        self, read_models: Sequence[ReadModel], after: int, upto: int | None
    ) -> tuple[Sequence[ReadModel], Page, bool]:
        """Those of read models at one place that move together, the page that they move over, and
        whether there is more behind it."""
        few = min(PAGE, TOGETHER + 1)
        page = _page(after, self._source.read(after, limit=few, upto=upto))
        if len(page.events) <= TOGETHER:
            return read_models, page, len(page.events) == few
        quick = [read_model for read_model in read_models if not bulk.reads_images(read_model)]
        if not quick:
            return [], page, True
        end = self._source.head() if upto is None else upto
        events = self._source.read(after, limit=PAGE, upto=end, skip=bulk.skipped_by(quick))
        reached = events[-1].position if len(events) == PAGE else end
        return quick, Page(events, reached), True

    def _move_together(self, read_models: Sequence[ReadModel], after: int, page: Page) -> bool:
        """Move read models in one transaction. False if that failed: then each has to move alone,
        so that one that fails does not stop the others."""
        began = time.time_ns()
        writes = chain.from_iterable(read_model.project(page.events) for read_model in read_models)
        try:
            self._write([read_model.name for read_model in read_models], after, page, writes)
        except Exception as error:
            log.info("read models at position %d move one by one: %r", after, error)
            return False
        for read_model in read_models:
            self._moved(read_model, page.events, began)
        return True

    def _move_alone(
        self,
        read_model: ReadModel,
        places: Mapping[str, Place],
        upto: int | None,
        read: dict[int, Page],
    ) -> int:
        began = time.time_ns()
        after, failed = _require(places, read_model.name)
        if after not in read:
            limit = min(PAGE, bulk.PAGE)
            read[after] = _page(after, self._source.read(after, limit=limit, upto=upto))
        page = read[after]
        if page.events:
            self._write([read_model.name], after, page, read_model.project(page.events))
        if failed:
            with self._engine.begin() as connection:
                failing.record_recovery(connection, read_model.name)
        if not page.events:
            return 0
        self._statistics.wrote(read_model, len(page.events))
        self._moved(read_model, page.events, began)
        return 1

    def _write(self, names: Sequence[str], after: int, page: Page, writes: Iterable[Write]) -> None:
        with self._engine.begin() as connection:
            announced = chain(writes, [_notification(names, page.reached)])
            write_page(connection, names, after, page.reached, announced)


def _groups(
    read_models: Sequence[ReadModel], places: Mapping[str, Place]
) -> dict[int, list[ReadModel]]:
    """Those that may move together, by position: all that have not failed."""
    groups: dict[int, list[ReadModel]] = defaultdict(list)
    for read_model in read_models:
        place = places.get(read_model.name)
        if place is not None and not place.failures:
            groups[place.position].append(read_model)
    return groups


def positions_of(
    connection: Connection, read_models: Sequence[ReadModel]
) -> Iterator[tuple[str, int]]:
    """The name and position of each; those that an older program left behind are not moved."""
    query = select(positions).order_by(positions.c.read_model)
    names = [model.name for model in read_models]
    for row in connection.execute(query.where(positions.c.read_model.in_(names))):
        yield row.read_model, row.position
