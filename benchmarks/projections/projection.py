"""Our batched Follower against the library's projection runner, which commits each event alone."""

import time
from collections.abc import Sequence
from typing import Any, ClassVar

from eventsourcing.application import Application
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from sqlalchemy import Engine, make_url, text

from application.log.mapper import EventMapper
from application.log.store import SCHEMA as LOG
from application.log.store import Store
from benchmarks.database import checkpoint, library_environment, migrated_postgres, opened
from benchmarks.measurements import Expected, Measurement
from benchmarks.processes import data_folder
from benchmarks.quiet import repeat
from benchmarks.sample_events import copy_all, image_events
from domain.event import Recorded
from projections.dataset.dataset import DATASET
from projections.engine.follow import Follower
from projections.engine.read_model import SCHEMA as READ
from projections.engine.read_model import ReadModel
from projections.engine.writes import compile_write

EVENTS, QUICK_EVENTS = 5_000, 400
PATIENCE_SECONDS = 600.0

Rows = list[tuple[object, ...]]


def run(quick: bool) -> list[Measurement]:
    """Events a second into the read model of the dataset, with the same SQL on both sides."""
    events = QUICK_EVENTS if quick else EVENTS
    with (
        data_folder() as folder,
        migrated_postgres(folder) as server,
        opened(server.app_url) as (store, engine),
    ):
        copy_all(server.admin_url, image_events(events))

        def measure() -> tuple[float, float]:
            rates, contents = [], []
            for way in (_follow, _run_library):
                _empty(engine, [DATASET])
                checkpoint(server.admin_url)
                seconds = way(server.app_url, store, engine)
                rates.append(events / seconds)
                contents.append(_rows(engine))
            assert contents[0] == contents[1], "the read models differ"
            return rates[0], rates[1]

        done = repeat(1 if quick else 3, measure, spare=0 if quick else 2)
    ours, theirs = zip(*done.results, strict=True)
    return [
        Measurement(
            what=f"{events:,} events into {DATASET.name}",
            unit="events/s",
            ours=ours,
            alternative="eventsourcing ProjectionRunner, a transaction an event",
            theirs=theirs,
            expected=Expected(10, at_least=True),
            others=done.others,
        )
    ]


def _follow(_: str, store: Store, engine: Engine) -> float:
    follower = Follower(engine, store, [DATASET])
    began = time.perf_counter()
    follower.catch_up()
    return time.perf_counter() - began


def _run_library(url: str, store: Store, engine: Engine) -> float:
    return run_library(url, engine, [DATASET], store.head())


def run_library(url: str, engine: Engine, read_models: Sequence[ReadModel], upto: int) -> float:
    """Seconds of the library's runner from empty tables to a position."""
    _empty(engine, read_models)
    settings = library_environment(url, LOG) | {
        "STEMMA_ORIGINATOR_ID_TYPE": "text",
        "STEMMA_CREATE_TABLE": "no",
        f"{_PerEvent.name.upper()}_POSTGRES_SCHEMA": READ,
    }
    _View.read_models, _PerEvent.upto = read_models, upto
    began = time.perf_counter()
    with ProjectionRunner(
        application_class=_Log, projection_class=_PerEvent, view_class=_View, env=settings
    ) as runner:
        runner.wait(upto, timeout=PATIENCE_SECONDS)
        assert isinstance(runner.projection, _PerEvent)
        return runner.projection.processed_at - began


class _Log(Application[str]):
    name = "Stemma"

    def construct_mapper(self) -> Any:
        return EventMapper()


class _View(PostgresTrackingRecorder):
    """Read models, written as the library's documentation shows: SQL and tracking together."""

    read_models: ClassVar[Sequence[ReadModel]] = ()

    def record(self, recorded: Recorded, tracking: Tracking) -> None:
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            for read_model in self.read_models:
                for write in read_model.project([recorded]):
                    compiled = compile_write(write.statement, tuple(write.parameters), (), _DIALECT)
                    cursor.execute(compiled.sql, compiled.values(write.parameters), prepare=True)


class _PerEvent(Projection[_View]):
    name = "per_event"
    upto: ClassVar[int] = 0
    processed_at = 0.0

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        self.view.record(domain_event, tracking)
        if tracking.notification_id <= self.upto:
            self.processed_at = time.perf_counter()  # the runner's wait polls every 0.8 s


_DIALECT = make_url("postgresql+psycopg://").get_dialect()()


def _empty(engine: Engine, read_models: Sequence[ReadModel]) -> None:
    with engine.begin() as connection:
        for read_model in read_models:
            for table in read_model.metadata.sorted_tables:
                connection.execute(text(f"TRUNCATE {READ}.{table.name}"))
        connection.execute(text(f"UPDATE {READ}.positions SET position = 0"))
        connection.execute(text(f"DROP TABLE IF EXISTS {READ}.{_PerEvent.name}_tracking"))


def _rows(engine: Engine) -> Rows:
    """A digest of each table's rows."""
    digest = "SELECT count(*), md5(string_agg(t::text, ',' ORDER BY t::text))"
    with engine.connect() as connection:
        return [
            tuple(connection.execute(text(f"{digest} FROM {READ}.{table.name} t")).one())
            for table in DATASET.metadata.sorted_tables
        ]
