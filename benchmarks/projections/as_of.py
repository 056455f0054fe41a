"""The Models Library of 10,000 versions as of a position, against the current one."""

from functools import partial

from sqlalchemy import Engine

from benchmarks.calls import milliseconds_each, quantiles
from benchmarks.database import migrated_postgres, opened
from benchmarks.measurements import Expected, Measurement
from benchmarks.processes import data_folder
from benchmarks.projections.library import MODELS, fill
from benchmarks.quiet import repeat
from projections.training.library_queries import library

VERSIONS_EACH, QUICK_VERSIONS_EACH = 500, 2
CALLS, QUICK_CALLS = 100, 5
MOMENTS = {"half-way": 0.5, "shortly before the end": 0.99}
"""The positions to query, as shares of the log."""


def run(quick: bool) -> list[Measurement]:
    """Milliseconds of the query, alternately as of a position and of the current state."""
    each = QUICK_VERSIONS_EACH if quick else VERSIONS_EACH
    calls = QUICK_CALLS if quick else CALLS
    with (
        data_folder() as folder,
        migrated_postgres(folder) as server,
        opened(server.app_url) as (store, engine),
    ):
        view_id = fill(store, engine, each)
        head = store.head()
        positions = [None, *(round(head * share) for share in MOMENTS.values())]

        def measure(calls: int = calls) -> list[list[float]]:
            return [
                milliseconds_each(partial(_query, engine, view_id, at), calls) for at in positions
            ]

        measure(calls // 5)  # connections, compiled statements, caches
        done = repeat(1 if quick else 3, measure, spare=0 if quick else 1)
    return [
        measurement
        for place, moment in enumerate(MOMENTS, start=1)
        for measurement in quantiles(
            f"the library of {MODELS * each:,} versions as of a position {moment}",
            [times[place] for times in done.results],
            done.others,
            alternative="of now",
            theirs=[times[0] for times in done.results],
            expected={"p99": Expected(2)},
        )
    ]


def _query(engine: Engine, view_id: str, as_of: int | None) -> None:
    with engine.connect() as connection:
        library(connection, view_id, as_of=as_of)
