"""What people wait for, from Stemma and from MLflow: commands, queries, lists and charts."""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from typing import NamedTuple

from sqlalchemy import Engine

from adapters.settings import read_runtime
from api.sampled_charts import MOST_CHARTS
from application.access.first_key import give_key
from application.log.store import Store
from benchmarks.calls import quantiles
from benchmarks.database import copy_prepared, migrated_postgres, opened
from benchmarks.measurements import Expected, Measurement
from benchmarks.operations.start import await_ready
from benchmarks.peers.cpu import cpu_of
from benchmarks.peers.mlflow import VERSION, WORKERS, Mlflow, filled, mlflow_server
from benchmarks.peers.raw_http import Client
from benchmarks.processes import data_folder, free_port, stemma
from benchmarks.projections import library
from benchmarks.quiet import repeat
from benchmarks.sample_events import recorded
from cli.client import authorization
from cli.operations.first_key import new_key
from cli.operations.up import wait_ready
from domain.aggregates import VERSION as VERSIONS
from domain.training.version import BatchMetricsRecorded
from projections.engine.follow import Follower
from projections.registry import READ_MODELS
from projections.training.library_queries import VersionFilter, list_versions

NAME = f"MLflow {VERSION}"
CALLS, SLOW_CALLS, QUICK_CALLS = 200, 10, 3
"""Calls of each; `SLOW_CALLS` of MLflow's list and chart, which take it tenths of a second."""
CLIENTS, SECONDS, QUICK_SECONDS = 16, 4.0, 0.2
PAUSE_SECONDS = 0.006
ITERATIONS, QUICK_ITERATIONS, CHUNK = 100_000, 2_000, 1000
POINTS = 700
START_SECONDS = 60.0

Times = list[float]


def run(quick: bool) -> list[Measurement]:
    """Each repetition measures one after the other; both servers run all the time."""
    each = library.QUICK_VERSIONS_EACH if quick else library.VERSIONS_EACH
    iterations = QUICK_ITERATIONS if quick else ITERATIONS
    content = filled(library.MODELS * each, iterations, quick)
    with data_folder() as folder, mlflow_server(folder, quick) as mlflow:
        commands = list(_commands(mlflow, quick))
    with data_folder() as folder, mlflow_server(folder, quick, content) as mlflow:
        return [*commands, *_queries(mlflow, content.runs, each, iterations, quick)]


class Way(NamedTuple):
    """A call of Stemma and one of MLflow, and the share of MLflow's time to reach by Stemma's."""

    what: str
    ours: Callable[[], object]
    theirs: Callable[[], object]
    expected: dict[str, Expected]
    their_calls: int = CALLS


def _shares(p50: float, p99: float | None = None) -> dict[str, Expected]:
    """Aims as shares of what MLflow takes: how fast a machine is changes both."""
    return {"p50": Expected(p50)} | ({} if p99 is None else {"p99": Expected(p99)})


def _commands(mlflow: Mlflow, quick: bool) -> Iterator[Measurement]:
    with data_folder() as folder:
        copy_prepared(folder)
        settings = {"STEMMA_DATA": str(folder), "STEMMA_RATE_LIMIT": "0"}
        log = folder / "up.log"
        with stemma("up", log=log, settings=settings) as process:
            await_ready(process, log)
            runtime = read_runtime(folder)
            assert runtime is not None
            client = Client(runtime.api_url, authorization(runtime.api_key or ""))
            create = client.written("POST", "/api/v1/projects", {"name": "benchmark"})

            def seen() -> None:
                made = client.call("POST", "/api/v1/projects", {"name": "benchmark"})
                client.call("GET", f"/api/v1/projects/{made['id']}?at_least={made['position']}")

            ways = [
                Way(
                    "one command over HTTP",
                    lambda: client.send(create),
                    lambda: mlflow.client.send(mlflow.new_run),
                    _shares(3 / 6.3, 10 / 9.7),
                ),
                Way(
                    "written until its writer reads it",
                    seen,
                    lambda: mlflow.client.send(mlflow.reading_run(mlflow.run())),
                    _shares(6 / 15.7, 20 / 21),
                ),
            ]
            yield from _each(ways, quick, PAUSE_SECONDS)
            seconds = QUICK_SECONDS if quick else SECONDS

            def hammered() -> tuple[float, float, dict[str, float]]:
                before = cpu_of(process.pid)
                rate = client.hammer(create, CLIENTS, seconds)
                after = cpu_of(process.pid)
                spent = {
                    name: 1000 * (after[name] - before[name]) / (rate * seconds) for name in after
                }
                return rate, mlflow.client.hammer(mlflow.new_run, CLIENTS, seconds), spent

            rates = repeat(1 if quick else 3, hammered, spare=0 if quick else 2)
            client.close()
    ours, theirs, spent = zip(*rates.results, strict=True)
    yield Measurement(
        what=f"commands of {CLIENTS} clients",
        unit="/s",
        ours=ours,
        alternative=f"{NAME}, {WORKERS} workers",
        theirs=theirs,
        expected=Expected(1000 / 200, at_least=True),
        others=rates.others,
    )
    for name in spent[0]:
        yield Measurement(
            what=f"CPU for each of these: {name}",
            unit="ms",
            ours=tuple(each[name] for each in spent),
            others=rates.others,
        )


def _queries(
    mlflow: Mlflow, runs: Sequence[str], each: int, iterations: int, quick: bool
) -> Iterator[Measurement]:
    count = len(runs)
    with (
        data_folder() as folder,
        migrated_postgres(folder) as server,
        opened(server.app_url) as (store, engine),
    ):
        view_id = library.fill(store, engine, each)
        version_id = with_metrics(store, engine, view_id, iterations)
        key = new_key()
        give_key(store, key, "benchmark")
        url = f"http://127.0.0.1:{free_port()}"
        settings = {
            "STEMMA_DATA": str(folder),
            "STEMMA_DATABASE_URL": server.app_url,
            "STEMMA_BLOBS_URL": f"file://{folder}/blobs",
            "STEMMA_API_PORT": url.rpartition(":")[2],
            "STEMMA_RATE_LIMIT": "0",
        }
        with stemma("api", log=folder / "api.log", settings=settings):
            if not wait_ready(url, START_SECONDS):
                raise RuntimeError((folder / "api.log").read_text(encoding="utf-8"))
            client = Client(url, authorization(key))

            def ours(path: str) -> Callable[[], bytes]:
                written = client.written("GET", f"/api/v1/{path}")
                return lambda: client.send(written)

            def theirs(written: bytes) -> Callable[[], bytes]:
                return lambda: mlflow.client.send(written)

            metrics = f"versions/{version_id}/metrics"
            sampled = ours(f"{metrics}?points={POINTS}")
            kilobytes = round(len(sampled()) / 1000)
            # More than are kept, so that each is sampled.
            new_charts = cycle(
                client.written("GET", f"/api/v1/{metrics}?points={POINTS - fewer}")
                for fewer in range(1, MOST_CHARTS + 2)
            )
            ways = [
                Way(
                    "one resource read: a version; a run",
                    ours(f"versions/{version_id}/progress"),
                    theirs(mlflow.reading_run(runs[-1])),
                    _shares(1.5 / 6),
                ),
                Way(
                    f"{count:,} versions listed, whole",
                    ours(f"views/{view_id}/models"),
                    theirs(mlflow.listing(count)),
                    _shares(15 / 716, 30 / 716),
                    SLOW_CALLS,
                ),
                Way(
                    f"chart of {iterations:,} iterations, {POINTS} points ({kilobytes} kB)",
                    lambda: client.send(next(new_charts)),
                    theirs(mlflow.history(runs[0], POINTS)),
                    _shares(10 / 280),
                    SLOW_CALLS,
                ),
                Way(
                    "the same chart once more",
                    sampled,
                    theirs(mlflow.history(runs[0], POINTS)),
                    {},
                    SLOW_CALLS,
                ),
            ]
            yield from _each(ways, quick, 0.0)
            client.close()


def _each(ways: Sequence[Way], quick: bool, pause: float) -> Iterator[Measurement]:
    for way in ways:
        ours, theirs = (QUICK_CALLS, QUICK_CALLS) if quick else (CALLS, way.their_calls)
        _times(way.ours, ours // 2, pause)  # connections, compiled statements, caches
        _times(way.theirs, theirs // 2, pause)

        def measure(way: Way = way, ours: int = ours, theirs: int = theirs) -> tuple[Times, Times]:
            return _times(way.ours, ours, pause), _times(way.theirs, theirs, pause)

        done = repeat(1 if quick else 3, measure, spare=0 if quick else 2)
        own, others = zip(*done.results, strict=True)
        yield from quantiles(
            way.what, own, done.others, alternative=NAME, theirs=others, expected=way.expected
        )


def _times(call: Callable[[], object], calls: int, pause: float) -> Times:
    times = []
    for _ in range(calls):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1000)
        time.sleep(pause)
    return times


def with_metrics(store: Store, engine: Engine, view_id: str, iterations: int) -> str:
    """The id of a version of the view, which is given so many iterations."""
    with engine.connect() as connection:
        version_id = list_versions(connection, VersionFilter(view_id=view_id), limit=1)[
            0
        ].version_id
    stream = VERSIONS.stream(version_id)
    revision = len(store.streams([stream])[stream])
    for place, first in enumerate(range(0, iterations, CHUNK), start=1):
        losses = tuple(3 / (1 + step / 1000) for step in range(first, first + CHUNK))
        event = BatchMetricsRecorded(first, (0.001,) * CHUNK, losses)
        store.append([recorded(stream, revision + place, event)])
    Follower(engine, store, READ_MODELS).catch_up()
    return version_id
