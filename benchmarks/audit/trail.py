"""The audit trail: its index against a table of events, and pages against SQL on the log's view."""

import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Engine,
    Index,
    MetaData,
    Table,
    Text,
    insert,
    select,
    text,
)

from adapters.settings import Settings
from api.audit.trail_reading import TrailQuery, every_line, find_lines
from api.backend import Backend
from application.log.store import Store
from benchmarks.calls import milliseconds_each, quantiles
from benchmarks.database import checkpoint, migrated_postgres, opened
from benchmarks.measurements import Measurement
from benchmarks.processes import data_folder
from benchmarks.quiet import repeat
from benchmarks.sample_events import copy_all, image_events
from domain.dataset.image import ImageAdded, ImageAnnotated
from domain.event import Recorded
from projections.audit.trail import TRAIL
from projections.engine.follow import Follower, create_tables
from projections.engine.read_model import SCHEMA, ReadModel, Write, parameter_rows, write_rows

EVENTS, QUICK_EVENTS = 200_000, 2_000
OLD = 200
"""Events of a small project at the log's beginning: a backward scan reaches them last."""
LINES = 50
CALLS, QUICK_CALLS = 40, 2
EXPORTED = 20_000


def run(quick: bool) -> list[Measurement]:
    """Events a second into the index, milliseconds a page, and exported lines a second."""
    events = QUICK_EVENTS if quick else EVENTS
    with (
        data_folder() as folder,
        migrated_postgres(folder) as server,
        opened(server.app_url) as (store, engine),
    ):
        project = _fill(server.admin_url, events)
        times = 1 if quick else 3
        indexed = repeat(times, lambda: _index_both(server.admin_url, store, engine))
        sizes = [_bytes(engine, read_model) / events for read_model in (TRAIL, ROWS)]
        # Pages of the trail read no other read model, but wait for all of them.
        _execute(engine, f"UPDATE read.positions SET position = {store.head()}")
        _execute(engine, "ANALYZE")
        ours, theirs = zip(*indexed.results, strict=True)
        measurements = [
            Measurement(
                what=f"{events:,} events into {TRAIL.name}",
                unit="events/s",
                ours=tuple(events / seconds for seconds in ours),
                alternative="a row an event, with six indexes",
                theirs=tuple(events / seconds for seconds in theirs),
                others=indexed.others,
            ),
            Measurement(
                what="bytes an event on disk, indexes included",
                unit="B",
                ours=(sizes[0],),
                alternative="a row an event, with six indexes",
                theirs=(sizes[1],),
                others=indexed.others,
            ),
        ]
        url = f"file://{folder}/blobs"
        backend = Backend(Settings(data=folder, database_url=server.app_url, blobs_url=url))
        try:
            measurements += _pages(backend, engine, project, events, quick)
            measurements += [_export(backend, quick), _export_memory(backend, quick)]
        finally:
            backend.close()
    return measurements


def _fill(admin_url: str, events: int) -> str:
    """Insert a small project and then a large one; return the id of the first."""
    old = list(image_events(OLD))
    copy_all(admin_url, chain(old, image_events(events - OLD)))
    added = old[0].event
    assert isinstance(added, ImageAdded)
    return added.project_id


def _index_both(admin_url: str, store: Store, engine: Engine) -> tuple[float, float]:
    """Seconds for the index and for the rows."""
    seconds = []
    for read_model in (TRAIL, ROWS):
        with engine.begin() as connection:
            for table in read_model.metadata.sorted_tables:
                table.drop(connection, checkfirst=True)
            start = "DELETE FROM read.positions WHERE read_model = :name"
            connection.execute(text(start), {"name": read_model.name})
            create_tables(connection, read_model)
        checkpoint(admin_url)
        began = time.perf_counter()
        Follower(engine, store, [read_model]).catch_up()
        seconds.append(time.perf_counter() - began)
    return seconds[0], seconds[1]


def _bytes(engine: Engine, read_model: ReadModel) -> int:
    query = text("SELECT pg_total_relation_size(CAST(:name AS regclass))")
    with engine.connect() as connection:
        return sum(
            int(connection.execute(query, {"name": str(table)}).scalar_one())
            for table in read_model.metadata.sorted_tables
        )


def _pages(
    backend: Backend, engine: Engine, project: str, events: int, quick: bool
) -> list[Measurement]:
    """Each kind of page, including the making of its lines."""
    calls = QUICK_CALLS if quick else CALLS
    requests = {
        "newest first": (TrailQuery(), None),
        "of an old project of 200 events, newest first": (TrailQuery(project=project), None),
        "of an event, from the middle": (TrailQuery(event="image.annotated"), events // 2),
        "of an actor with no event in an hour": (
            TrailQuery(actor="user:ada", since="2040-01-01", until="2040-01-02"),
            None,
        ),
    }
    ways: dict[str, Callable[[], object]] = {
        f"a page of {LINES} lines {name}": partial(find_lines, backend, request, cursor, LINES)
        for name, (request, cursor) in requests.items()
    }
    by_sql = f"positions of {LINES} events of the old project, by SQL on log.events"
    ways[by_sql] = partial(_by_sql, engine, project)
    for way in ways.values():
        way()

    def measure() -> list[list[float]]:
        return [
            milliseconds_each(way, calls if way.func is find_lines else 1)  # type: ignore[attr-defined]
            for way in ways.values()
        ]

    done = repeat(1 if quick else 3, measure, spare=0 if quick else 2)
    return [
        measurement
        for place, name in enumerate(ways)
        for measurement in quantiles(name, [times[place] for times in done.results], done.others)
    ]


def _by_sql(engine: Engine, project: str) -> None:
    """The query of an auditor without the index."""
    query = (
        "SELECT position FROM log.events WHERE stream IN (SELECT stream FROM log.events"
        " WHERE name = 'image.added' AND data ->> 'project_id' = :project)"
        f" ORDER BY position DESC LIMIT {LINES}"
    )
    with engine.connect() as connection:
        assert connection.execute(text(query), {"project": project}).all()


def _export(backend: Backend, quick: bool) -> Measurement:
    """Lines of an export a second, before formatting."""
    position = backend.store.head()
    count = QUICK_EVENTS if quick else EXPORTED

    def measure() -> float:
        began = time.perf_counter()
        for number, _ in enumerate(every_line(backend, TrailQuery(), position), start=1):
            if number == count:
                break
        return count / (time.perf_counter() - began)

    done = repeat(1 if quick else 3, measure, spare=0 if quick else 2)
    return Measurement(
        what="lines of an export, newest first",
        unit="lines/s",
        ours=tuple(done.results),
        others=done.others,
    )


def _export_memory(backend: Backend, quick: bool) -> Measurement:
    """Python's peak memory during a long and a short export."""
    position = backend.store.head()
    count = QUICK_EVENTS if quick else EXPORTED

    def peak(lines: int) -> float:
        tracemalloc.start()
        for number, _ in enumerate(every_line(backend, TrailQuery(), position), start=1):
            if number == lines:
                break
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak_bytes / 1e6

    done = repeat(1, lambda: (peak(count), peak(count // 10)))
    [(long, short)] = done.results
    return Measurement(
        what=f"memory at the peak of an export of {count:,} lines",
        unit="MB",
        ours=(long,),
        alternative=f"of {count // 10:,} lines",
        theirs=(short,),
        others=done.others,
    )


def _execute(engine: Engine, statement: str) -> None:
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text(statement))


_rows = Table(
    "trail_rows_v1",
    MetaData(schema=SCHEMA),
    Column("position", BigInteger, primary_key=True),
    Column("at", DateTime(timezone=True)),
    *(Column(name, Text) for name in ("stream", "actor", "event", "project_id", "view_id")),
    *(
        Index(f"trail_rows_v1_{name}", name, "position")
        for name in ("at", "stream", "actor", "event", "project_id", "view_id")
    ),
)
_parameters = parameter_rows(**{column.name: column.type for column in _rows.c})
_add = insert(_rows).from_select([column.name for column in _rows.c], select(*_parameters.c))


def _project_rows(page: Sequence[Recorded]) -> Iterator[Write]:
    yield from write_rows(_add, [_row(recorded) for recorded in page])


def _row(recorded: Recorded) -> dict[str, object]:
    """A row with the fields of an event alone: less than the index contains."""
    event = recorded.event
    return {
        "position": recorded.position,
        "at": recorded.metadata.occurred_at.isoformat(),
        "stream": recorded.stream,
        "actor": recorded.metadata.actor,
        "event": event.event_name,
        "project_id": event.project_id if isinstance(event, ImageAdded) else None,
        "view_id": event.view_id if isinstance(event, ImageAnnotated) else None,
    }


ROWS = ReadModel("trail_rows_v1", _rows.metadata, _project_rows)
