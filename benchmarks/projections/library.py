"""The Models Library with 1,000 versions, over HTTP."""

import http.client
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import Engine, text

from application import views
from application.access.first_key import give_key
from application.dataset import projects
from application.handle import Decided, Session
from application.log.store import Store
from benchmarks.calls import do, milliseconds_each, quantiles
from benchmarks.database import migrated_postgres, opened
from benchmarks.measurements import Measurement
from benchmarks.processes import data_folder, free_port, stemma
from benchmarks.quiet import repeat
from benchmarks.sample_events import append_all, trained_version
from cli.client import authorization
from cli.operations.first_key import new_key
from cli.operations.up import wait_ready
from domain.aggregates import MODEL
from domain.library.model import Model
from projections.engine.follow import Follower
from projections.registry import READ_MODELS
from projections.training.library_queries import library

MODELS, VERSIONS_EACH, QUICK_VERSIONS_EACH = 20, 50, 1
CALLS, QUICK_CALLS = 200, 5
START_SECONDS = 60.0


def run(quick: bool) -> list[Measurement]:
    """Milliseconds of a call, one after the other on an open connection."""
    each = QUICK_VERSIONS_EACH if quick else VERSIONS_EACH
    calls = QUICK_CALLS if quick else CALLS
    with (
        data_folder() as folder,
        migrated_postgres(folder) as server,
        opened(server.app_url) as (store, engine),
    ):
        view_id = fill(store, engine, each)
        key = new_key()
        give_key(store, key, "benchmark")
        settings = {
            "STEMMA_DATA": str(folder),
            "STEMMA_DATABASE_URL": server.app_url,
            "STEMMA_BLOBS_URL": f"file://{folder}/blobs",
            "STEMMA_API_PORT": str(free_port()),
            "STEMMA_RATE_LIMIT": "0",
        }
        with _api(settings, key, folder / "logs" / "api.log") as get:
            whole = f"/api/v1/views/{view_id}/models"
            size = len(get(whole))
            ways: dict[str, Callable[[], object]] = {
                f"GET {MODELS} models, all {MODELS * each:,} versions ({size:,} bytes)": (
                    lambda: get(whole)
                ),
                f"GET {MODELS} models, the newest version of each": (
                    lambda: get(f"{whole}?versions_each=1")
                ),
            }
            for way in ways.values():
                milliseconds_each(way, calls // 4)  # connections, compiled statements, caches
            times, spare = (1, 0) if quick else (3, 2)

            def measure() -> list[list[float]]:
                return [milliseconds_each(way, calls) for way in ways.values()]

            done = repeat(times, measure, spare=spare)
    return [
        measurement
        for place, name in enumerate(ways)
        for measurement in quantiles(name, [result[place] for result in done.results], done.others)
    ]


def fill(store: Store, engine: Engine, each: int) -> str:
    """Fill all read models with a view of models, each with `each` trained versions; return the
    view's id."""
    project_id = do(store, lambda s: projects.create_project(s, "Digits")).id
    view_id = do(store, lambda s: views.create_view(s, project_id, "which", "classification")).id
    labels = [f"concept {number}" for number in range(MODELS + 1)]
    added = do(store, lambda s: views.add_concepts(s, view_id, labels))
    Follower(engine, store, READ_MODELS).catch_up()
    with engine.connect() as connection:
        first = library(connection, view_id)[0].model.model_id
    models = [first]
    for number in range(2, MODELS + 1):
        some = added.ids[:number]
        models.append(do(store, partial(_fork, first, some)).id)
    streams = store.streams([MODEL.stream(model_id) for model_id in models])
    append_all(
        store,
        (
            event
            for number in range(1, each + 1)
            for model_id in models
            for event in trained_version(
                project_id, view_id, model_id, len(streams[MODEL.stream(model_id)]) + number, number
            )
        ),
    )
    Follower(engine, store, READ_MODELS).catch_up()
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("ANALYZE"))
    return view_id


def _fork(parent: str, concepts: Sequence[str], session: Session) -> Decided[Model]:
    return views.fork_model(session, parent, concepts, "fewer concepts")


@contextmanager
def _api(settings: Mapping[str, str], key: str, log: Path) -> Iterator[Callable[[str], bytes]]:
    """Run `stemma api`, and yield a function that fetches a path from it with a key."""
    url = f"http://127.0.0.1:{settings['STEMMA_API_PORT']}"
    with stemma("api", log=log, settings=settings):
        if not wait_ready(url, START_SECONDS):
            raise RuntimeError(f"the API does not answer: {log.read_text(encoding='utf-8')}")
        connection = http.client.HTTPConnection(urlsplit(url).netloc)

        def get(path: str) -> bytes:
            try:
                return _get(connection, path, key)
            except http.client.RemoteDisconnected:  # it was idle for some seconds
                connection.close()
                return _get(connection, path, key)

        yield get
        connection.close()


def _get(connection: http.client.HTTPConnection, path: str, key: str) -> bytes:
    connection.request("GET", path, headers=authorization(key))
    response = connection.getresponse()
    body = response.read()
    assert response.status == 200, body
    return body
