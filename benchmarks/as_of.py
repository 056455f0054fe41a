"""The Models Library of 10,000 versions as it was, beside the same query of now."""

from functools import partial

from sqlalchemy import Engine

from benchmarks.calls import milliseconds_each, quantiles
from benchmarks.database import migrated_postgres, opened
from benchmarks.library import MODELS, fill
from benchmarks.measurements import Expected, Measurement
from benchmarks.processes import data_folder
from benchmarks.quiet import repeat
from projections.training.library_queries import library

VERSIONS_EACH, QUICK_VERSIONS_EACH = 500, 2
CALLS, QUICK_CALLS = 100, 5
MOMENTS = {"half-way": 0.5, "shortly before the end": 0.99}
"""How far along the log it is asked as of."""


def run(quick: bool) -> list[Measurement]:
    """Milliseconds of the query, in turn as of a position and of now."""
    each = QUICK_VERSIONS_EACH if quick else VERSIONS_EACH
    calls = QUICK_CALLS if quick else CALLS
    with (
        data_folder() as folder,
        migrated_postgres(folder) as server,
        opened(server.app_url) as (store, engine),
    ):
        view_id = fill(store, engine, each)
        head = store.head()
        asked = [None, *(round(head * share) for share in MOMENTS.values())]

        def measure(calls: int = calls) -> list[list[float]]:
            return [milliseconds_each(partial(_query, engine, view_id, at), calls) for at in asked]

        measure(calls // 5)  # connections, compiled statements, caches
        done = repeat(1 if quick else 3, measure, spare=0 if quick else 1)
    return [
        measurement
        for place, moment in enumerate(MOMENTS, start=1)
        for measurement in quantiles(
            f"the library of {MODELS * each:,} versions as of a position {moment}",
            [one[place] for one in done.results],
            done.others,
            alternative="of now",
            theirs=[one[0] for one in done.results],
            expected={"p99": Expected(2)},
        )
    ]


def _query(engine: Engine, view_id: str, as_of: int | None) -> None:
    with engine.connect() as connection:
        library(connection, view_id, as_of=as_of)
