"""Filling the read models of a scratch schema from the log: only events they read, in large
pages."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from sqlalchemy import Engine, Index, text

from domain.event import Recorded
from projections.engine.bulk import skipped_by
from projections.engine.expressions import NotUnderstood
from projections.engine.folding import fold
from projections.engine.follow import EventSource, position_of, write_page
from projections.engine.read_model import ONLY_READ, ReadModel, Write
from projections.engine.statistics import analyze, schema_of
from projections.engine.stored_rows import StoredRows

PAGE, FIRST_PAGE = 10_000, 500


class Goal(NamedTuple):
    """A read model to fill, and the position of the log up to which."""

    read_model: ReadModel
    upto: int


def fill(
    beside: Engine, source: EventSource, goals: Sequence[Goal], *, logged: bool = False
) -> None:
    """Project empty read models, that no other process moves, in one pass over the log.

    In the end their tables are `logged`, if they are to survive a crash of the server. Their
    positions tell how far the log was read: rows may still be in memory until this returns.
    """
    fillings = [_Filling(beside, goal, logged=logged) for goal in goals]
    skipped = skipped_by([goal.read_model for goal in goals])
    end = max(goal.upto for goal in goals)
    readers: dict[str, list[_Filling]] = {}
    after = 0
    while after < end:
        limit = PAGE if after else FIRST_PAGE
        page = source.read(after, limit=limit, upto=end, skip=skipped)
        reached = page[-1].position if len(page) == limit else end
        events: dict[_Filling, list[Recorded]] = defaultdict(list)
        for recorded in page:
            name = recorded.event.event_name
            if name not in readers:
                readers[name] = [each for each in fillings if each.reads(name)]
            for filling in readers[name]:
                events[filling].append(recorded)
        in_memory = [each for each in fillings if each.take(events[each], after, reached)]
        _note_positions(beside, in_memory, after, reached)
        after = reached
    for filling in fillings:
        filling.finish()


def advance(beside: Engine, source: EventSource, read_model: ReadModel, upto: int) -> None:
    """Project a read model that no other process moves, up to a position."""
    skipped = skipped_by([read_model])
    with beside.connect() as connection:
        after = position_of(connection, read_model.name)
    writer = _Writer(beside, read_model)
    while after < upto:
        page = source.read(after, limit=PAGE, upto=upto, skip=skipped)
        reached = page[-1].position if len(page) == PAGE else upto
        writer.write(read_model.project(page), len(page), after, reached)
        after = reached


class _Writer:
    """Writes pages to a read model in the database, which it has analysed as it grows."""

    def __init__(self, beside: Engine, read_model: ReadModel) -> None:
        self._beside = beside
        self._read_model = read_model
        self._written, self._planned_for = 0, 1

    def write(self, writes: Iterable[Write], events: int, after: int, reached: int) -> None:
        with self._beside.begin() as connection:
            # A cached plan was made for smaller tables.
            connection.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))
            write_page(connection, [self._read_model.name], after, reached, fold(writes))
        self._written += events
        if self._written >= 4 * self._planned_for:
            with self._beside.begin() as connection:
                analyze(connection, schema_of(self._beside), self._read_model)
            self._planned_for = self._written


def _note_positions(
    beside: Engine, fillings: Sequence["_Filling"], after: int, reached: int
) -> None:
    for position in {min(reached, filling.upto) for filling in fillings}:
        names = [each.name for each in fillings if min(reached, each.upto) == position]
        with beside.begin() as connection:
            write_page(connection, names, after, position, ())


class _Filling:
    """A read model that is filled: in memory while all its writes can be carried out there, and
    then by the database."""

    def __init__(self, beside: Engine, goal: Goal, *, logged: bool) -> None:
        self._read_model, self.upto = goal
        self.name = self._read_model.name
        begin = self._read_model.from_start
        self._project = begin() if begin else self._read_model.project
        self._beside = beside
        self._logged = logged
        self._rows: StoredRows | None = StoredRows(beside, self._read_model)
        self._writer = _Writer(beside, self._read_model)
        self._drop_indexes()
        if logged:
            self._persist("LOGGED")

    def reads(self, event_name: str) -> bool:
        return event_name.startswith(self._read_model.names)

    def take(self, events: Sequence[Recorded], after: int, reached: int) -> bool:
        """Project the next events of the log. Returns True if its position is to be noted, and
        False if the database has it, or it was reached before."""
        if after >= self.upto:
            return False
        if reached > self.upto:
            reached, events = self.upto, [each for each in events if each.position <= self.upto]
        try:
            return self._write(events, after, reached)
        except Exception as error:
            error.add_note(f"in read model {self.name}")
            raise

    def _write(self, events: Sequence[Recorded], after: int, reached: int) -> bool:
        writes = iter(self._project(events) if events else ())
        if self._rows is not None:
            refused = _first_not_understood(self._rows, writes)
            if refused is None:
                self._rows.make_room()
                return True
            self._leave_memory()
            if self._logged:
                self._persist("UNLOGGED")
            self._create_indexes(only_read=False)
            writes = chain([refused], writes)
        self._writer.write(writes, len(events), after, reached)
        return False

    def finish(self) -> None:
        """Store what is in memory, and make the indexes."""
        if self._rows is not None:
            self._leave_memory()
            self._create_indexes(only_read=False)
        elif self._logged:
            self._persist("LOGGED")
        self._create_indexes(only_read=True)

    def _persist(self, how: str) -> None:
        """Make the tables LOGGED or UNLOGGED. Changes of rows take less time without a log."""
        with self._beside.begin() as connection:
            for table in self._read_model.metadata.sorted_tables:
                name = f'{schema_of(self._beside)}."{table.name}"'
                connection.execute(text(f"ALTER TABLE {name} SET {how}"))

    def _leave_memory(self) -> None:
        assert self._rows is not None
        self._rows.store()
        self._rows = None

    def _drop_indexes(self) -> None:
        """Drop the indexes that no key needs: made for rows that are there, they take less time."""
        with self._beside.begin() as connection:
            for index in self._indexes:
                index.drop(connection)

    def _create_indexes(self, *, only_read: bool) -> None:
        """Create the indexes that only queries use, or the others."""
        with self._beside.begin() as connection:
            for index in self._indexes:
                if (index.info == ONLY_READ) == only_read:
                    index.create(connection)

    @property
    def _indexes(self) -> list[Index]:
        tables = self._read_model.metadata.sorted_tables
        return [index for table in tables for index in table.indexes]


def _first_not_understood(rows: StoredRows, writes: Iterable[Write]) -> Write | None:
    """Carry out writes in memory up to the first that cannot be; return that one."""
    for write in writes:
        try:
            rows.run(write)
        except NotUnderstood:
            return write
    return None
