"""What single reads and writes of the event log take as it grows: the same, if they are lookups."""

import time
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg

from adapters.audit.checkpoint_file import CheckpointFile
from adapters.audit.keys import Keys
from adapters.audit.signer import Pace, Signer
from application.dataset.dataset import images_at
from application.dataset.imports import views_of
from application.dataset.projects import create_project
from application.log.store import Store
from benchmarks.calls import do
from benchmarks.database import checkpoint, migrated_postgres
from benchmarks.measurements import Expected, Measurement, quantile
from benchmarks.processes import data_folder
from benchmarks.quiet import repeat
from benchmarks.sample_events import copy_all
from benchmarks.sample_log import log_of_teams
from benchmarks.sizes import size

EVENTS, FULL_EVENTS, QUICK_EVENTS = 1_000_000, 5_000_000, 20_000
SMALL = 0.1
"""The share of the log that is measured first."""
CALLS, QUICK_CALLS = 100, 3
FLAT = Expected(2)

Times = Mapping[str, tuple[float, ...]]


def run(quick: bool) -> list[Measurement]:
    """Milliseconds of a call on a new connection: PostgreSQL plans the first ones anew."""
    events = QUICK_EVENTS if quick else size(EVENTS, FULL_EVENTS)
    with data_folder() as folder, migrated_postgres(folder) as server:
        log = log_of_teams(events)
        signing = _Signing(folder, server.app_url)

        def measured(count: int) -> tuple[Times, float]:
            copy_all(server.admin_url, islice(log, count))
            with psycopg.connect(server.admin_url, autocommit=True) as admin:
                admin.execute("VACUUM ANALYZE log.stemma_events")
            checkpoint(server.admin_url)
            signing.sign()
            done = repeat(
                1 if quick else 3, lambda: _measure(server.app_url, signing, quick), spare=2
            )
            names = done.results[0]
            return {name: tuple(one[name] for one in done.results) for name in names}, done.others

        small, _ = measured(round(events * SMALL))
        large, others = measured(events)
    return [
        Measurement(
            what=f"{name}, at {events:,} events",
            unit="ms",
            ours=times,
            alternative=f"at {events * SMALL:,.0f}",
            theirs=small[name],
            expected=FLAT,
            others=others,
        )
        for name, times in large.items()
    ]


def _measure(url: str, signing: "_Signing", quick: bool) -> dict[str, float]:
    store = Store(url)
    project = store.read(0, limit=1, names=["project.created"])[0].entity_id
    head, calls = store.head(), QUICK_CALLS if quick else CALLS
    try:
        return {
            "the images of a project of 2,000, first read": _milliseconds(
                lambda: list(images_at(store, project, head))
            ),
            "the views of a project": _p99(lambda: views_of(store, project), calls),
            "a page at the log's end": _p99(lambda: store.read(head - 100), calls),
            "a command": _p99(lambda: do(store, lambda s: create_project(s, "one")), calls),
            "the start of the signer": _milliseconds(signing.begin),
        }
    finally:
        store.close()


def _p99(call: Callable[[], Any], calls: int) -> float:
    return quantile([_milliseconds(call) for _ in range(calls)], 0.99)


def _milliseconds(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


class _Signing:
    """A signer of the log, and the folder of its files."""

    def __init__(self, folder: Path, url: str) -> None:
        self._url = url
        self._keys = Keys(folder / "audit" / "signing-key", "stemma.bench/log")
        self._file = CheckpointFile(folder / "audit" / "checkpoints.txt")

    def sign(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            signer = Signer(self._keys, self._file, Pace(1, 0.0))
            signer.begin(connection)
            signer.sign_if_due(connection)

    def begin(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            Signer(self._keys, self._file, Pace(1, 0.0)).begin(connection)
