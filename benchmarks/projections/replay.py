"""A rebuild of all read models, against the library's projection runner and against reading."""

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice

from adapters.postgres.builders import rebuild_all
from application.log.store import Store
from benchmarks.database import checkpoint, migrated_postgres, opened
from benchmarks.measurements import Expected, Measurement
from benchmarks.memory import memory_of
from benchmarks.processes import data_folder, tree, tree_of_this_process
from benchmarks.projections.projection import run_library
from benchmarks.quiet import repeat
from benchmarks.sample_events import copy_all
from benchmarks.sample_log import log_of_teams
from benchmarks.sizes import size
from projections.registry import READ_MODELS

EVENTS, FULL_EVENTS, QUICK_EVENTS = 300_000, 1_000_000, 1_000
LIBRARY_EVENTS, FULL_LIBRARY_EVENTS, QUICK_LIBRARY_EVENTS = 4_000, 20_000, 200
EARLY = 0.1
"""The share of the log whose replay is compared in memory with that of the whole log."""


def run(quick: bool) -> list[Measurement]:
    """Events a second, including the start of processes, indexes and the switch."""
    events = QUICK_EVENTS if quick else size(EVENTS, FULL_EVENTS)
    some = QUICK_LIBRARY_EVENTS if quick else size(LIBRARY_EVENTS, FULL_LIBRARY_EVENTS)
    with (
        data_folder() as folder,
        migrated_postgres(folder) as server,
        opened(server.app_url) as (store, engine),
    ):
        log = log_of_teams(events)
        copy_all(server.admin_url, islice(log, round(events * EARLY)))
        early = _Memory(server.pid or 0)
        _replay(server.app_url, early)
        copy_all(server.admin_url, log)

        def measure() -> tuple[float, float, float, float]:
            checkpoint(server.admin_url)
            read = events / _seconds(lambda: _read(store))
            memory = _Memory(server.pid or 0)
            replayed = events / _seconds(partial(_replay, server.app_url, memory))
            checkpoint(server.admin_url)
            library = some / run_library(server.app_url, engine, READ_MODELS, some)
            return replayed, library, read, memory.peak

        done = repeat(1 if quick else 2, measure, spare=0 if quick else 1)
    replayed, library, read, peak = zip(*done.results, strict=True)
    what = f"{events:,} events into all {len(READ_MODELS)} read models"
    return [
        Measurement(
            what=what,
            unit="events/s",
            ours=replayed,
            alternative=f"eventsourcing ProjectionRunner, the first {some:,} of them",
            theirs=library,
            expected=Expected(15, at_least=True),
            others=done.others,
        ),
        Measurement(
            what=what,
            unit="events/s",
            ours=replayed,
            alternative="reading and decoding them, a thousand at a time",
            theirs=read,
            expected=Expected(0.3, at_least=True),
            others=done.others,
        ),
        Measurement(
            what=f"{what}: most memory of all processes",
            unit="MiB",
            ours=peak,
            alternative=f"for the first {EARLY:.0%} of them",
            theirs=(early.peak,) * len(peak),
            expected=Expected(1.2),
            others=done.others,
        ),
    ]


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _read(store: Store) -> None:
    for _ in store.read_all():
        pass


def _replay(url: str, memory: "_Memory") -> None:
    rebuild_all(url, READ_MODELS, memory.measure)


class _Memory:
    """Peak PSS in MiB of the projecting processes, without PostgreSQL and this process."""

    def __init__(self, postgres: int) -> None:
        self._postgres = postgres
        self.peak = 0.0

    def measure(self, _positions: Sequence[tuple[str, int]], _end: int) -> None:
        ours = tree_of_this_process() - tree(self._postgres) - {os.getpid()}
        now, _ = memory_of(ours)
        self.peak = max(self.peak, now)
