"""DataFrames by the Python package from Stemma's API, beside MLflow's client and its server."""

import json
import statistics
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Engine

from application.access.first_key import give_key
from application.dataset import projects
from application.log.store import Store
from benchmarks.calls import do
from benchmarks.database import migrated_postgres, opened
from benchmarks.measurements import Expected, Measurement
from benchmarks.peers import mlflow_reads, side_by_side
from benchmarks.peers.mlflow import VERSION, executable, filled, mlflow_server
from benchmarks.processes import data_folder, free_port, stemma
from benchmarks.projections import library
from benchmarks.quiet import repeat
from benchmarks.sample_events import append_all, recorded
from cli.operations.first_key import new_key
from cli.operations.up import wait_ready
from domain.dataset.image import ImageAdded
from domain.event import Recorded
from projections.engine.follow import Follower
from projections.registry import READ_MODELS
from projections.training.library_queries import find_version

IMAGES, QUICK_IMAGES = 10_000, 20
CALLS, QUICK_CALLS = 5, 1
SHARE = Expected(0.1)
"""Of the time that MLflow's client takes."""

Reads = dict[str, Any]


def run(quick: bool) -> list[Measurement]:
    """In each repetition a process of each reads, one after the other; both servers run all the
    time."""
    each = library.QUICK_VERSIONS_EACH if quick else library.VERSIONS_EACH
    iterations = side_by_side.QUICK_ITERATIONS if quick else side_by_side.ITERATIONS
    images, calls = (QUICK_IMAGES, QUICK_CALLS) if quick else (IMAGES, CALLS)
    content = filled(library.MODELS * each, iterations, quick)
    with (
        data_folder() as folder,
        mlflow_server(folder, quick, content) as mlflow,
        migrated_postgres(folder) as server,
        opened(server.app_url) as (store, engine),
    ):
        theirs = [mlflow.url, mlflow.experiment_id, content.runs[0]]
        key = new_key()
        give_key(store, key, "benchmark")
        view_id = library.fill(store, engine, each)
        version_id = side_by_side.with_metrics(store, engine, view_id, iterations)
        ours = [version_id, _project_of(engine, version_id), _images(store, engine, images)]
        url = f"http://127.0.0.1:{free_port()}"
        settings = {
            "STEMMA_DATA": str(folder),
            "STEMMA_DATABASE_URL": server.app_url,
            "STEMMA_BLOBS_URL": f"file://{folder}/blobs",
            "STEMMA_API_PORT": url.rpartition(":")[2],
            "STEMMA_RATE_LIMIT": "0",
        }
        with stemma("api", log=folder / "api.log", settings=settings):
            if not wait_ready(url, side_by_side.START_SECONDS):
                raise RuntimeError((folder / "api.log").read_text(encoding="utf-8"))

            def measure() -> tuple[Reads, Reads]:
                package = [sys.executable, "-m", "benchmarks.peers.our_reads", url, key, *ours]
                peer = [
                    str(executable("python")),
                    "-P",
                    mlflow_reads.__file__,
                    *theirs,
                    str(images),
                ]
                return _read([*package, str(calls)]), _read([*peer, str(calls)])

            done = repeat(1 if quick else 3, measure, spare=0 if quick else 2)
    return list(_measurements(done.results, done.others))


def _project_of(engine: Engine, version_id: str) -> str:
    with engine.connect() as connection:
        version = find_version(connection, version_id)
    assert version is not None
    return version.project_id


def _images(store: Store, engine: Engine, count: int) -> str:
    """A project of so many images."""
    project_id = do(store, lambda s: projects.create_project(s, "Images")).id
    append_all(store, (_image(project_id, number) for number in range(count)))
    Follower(engine, store, READ_MODELS).catch_up()
    return project_id


def _image(project_id: str, number: int) -> Recorded:
    key = uuid.uuid5(uuid.NAMESPACE_OID, f"image {number}")
    added = ImageAdded(
        project_id, f"{number:064x}", 640, 480, f"image-{number}.png", {"camera": "north"}
    )
    return recorded(f"image-{key}", 1, added)


def _read(argv: list[str]) -> Reads:
    done = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True)
    read: Reads = json.loads(done.stdout.splitlines()[-1])
    return read


def _measurements(results: list[tuple[Reads, Reads]], others: float) -> Iterator[Measurement]:
    for name in results[0][0]:
        count = min(side[name]["rows"] for result in results for side in result)
        ours, theirs = (
            tuple(statistics.median(result[side][name]["times"]) for result in results)
            for side in (0, 1)
        )
        yield Measurement(
            what=f"{count:,} {'values of a metric' if name == 'metrics' else name} in a DataFrame",
            unit="ms",
            ours=ours,
            alternative=f"MLflow {VERSION}'s client and server",
            theirs=theirs,
            expected=SHARE,
            others=others,
        )
