"""Read models are rebuilt and replaced while the log grows and the API answers: nobody notices."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from sqlalchemy import Engine

from adapters.postgres.builders import rebuild_all
from adapters.processes.processes import wait_until
from cli.client import authorization
from projections.engine.scratch import running_builds
from projections.registry import READ_MODELS
from projections.training.models_library import MODELS_LIBRARY
from tests.api.scene import KEY, Scene
from tests.projections.engine.rebuilding import compare
from tests.servers import Database, port_of_its_own
from tests.waiting import HANG_SECONDS

PAUSE_SECONDS = 0.1
"""Between two requests of a thread: the load is to be there, and not to take the whole machine."""


class Load:
    """Queries on connections that are kept open, and commands, until the block ends."""

    def __init__(self, scene: Scene, paths: list[str]) -> None:
        self.scene = scene
        self.url = scene.url
        self._paths = paths
        self.answers = 0
        self.problems: list[str] = []
        self._stop = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        queries = [threading.Thread(target=self._query, args=(one,)) for one in self._paths]
        threads = [*queries, threading.Thread(target=self._append)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _query(self, path: str) -> None:
        last = 0
        while not self._stop.is_set():
            url = self.url
            headers = authorization(KEY)
            with httpx.Client(base_url=url, headers=headers, timeout=HANG_SECONDS) as client:
                # What is moved to another server has seen what it has seen.
                at_least: dict[str, int] = {"at_least": last}
                while url == self.url and not self._stop.is_set():
                    last = self._ask(client, path, last, at_least)
                    at_least = {}

    def _ask(self, client: httpx.Client, path: str, last: int, at_least: dict[str, int]) -> int:
        self.answers += 1
        time.sleep(PAUSE_SECONDS)
        try:
            answer = client.get(f"/api/v1{path}", params=at_least).raise_for_status()
        except httpx.HTTPError as error:
            self.problems.append(f"{path}: {error}")
            return last
        position = int(answer.json()["position"])
        if position < last:
            self.problems.append(f"{path}: position {position} after {last}")
        return position

    def _append(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            self.scene.project(f"Project {number}")
            time.sleep(PAUSE_SECONDS)


@pytest.fixture
def load(server: Scene) -> Load:
    project_id, view_id = server.trainable()
    version_id = server.version(view_id)
    server.begin(version_id)
    server.epoch(version_id, 1)
    server.visible()
    paths = [
        f"/views/{view_id}/models",
        f"/versions/{version_id}",
        f"/versions/{version_id}/progress",
        f"/projects/{project_id}/images?view_id={view_id}",
        "/projects",
    ]
    return Load(server, paths)


def test_no_query_fails_while_read_models_are_rebuilt(load: Load, engine: Engine) -> None:
    url = load.scene.settings.require("database_url")
    shown = []
    with load.running():
        for _ in range(2):
            rebuild_all(url, READ_MODELS, lambda *_: shown.append(load.scene.building()))
    assert load.problems == []
    assert load.answers > 50
    assert any(shown)
    for read_model in READ_MODELS:
        assert compare(engine, load.scene.store, read_model) == []


def test_a_changed_read_model_is_built_and_switched_to_under_load(
    load: Load, engine: Engine, migrated: Database
) -> None:
    environment = dict(os.environ) | {
        "STEMMA_DATABASE_ADMIN_URL": migrated.admin_url,
        "STEMMA_DATABASE_URL": load.scene.settings.require("database_url"),
        "STEMMA_BLOBS_URL": load.scene.settings.require("blobs_url"),
        "STEMMA_API_PORT": str(port_of_its_own()),
    }
    url = f"http://127.0.0.1:{environment['STEMMA_API_PORT']}"

    def next_program(*arguments: str) -> "subprocess.Popen[bytes]":
        argv = [sys.executable, "-m", "tests.api.operations.next_program", *arguments]
        return subprocess.Popen(argv, env=environment)

    def versions() -> int:
        """The status of an answer from the changed read model."""
        try:
            return httpx.get(
                f"{url}/api/v1/versions", headers=authorization(KEY), timeout=HANG_SECONDS
            ).status_code
        except httpx.TransportError:
            return 0

    def follows() -> bool:
        found = httpx.get(
            f"{url}/api/v1/status", headers=authorization(KEY), timeout=HANG_SECONDS
        ).json()["read_models"]
        return all(one["lag"] < 10 for one in found)

    parts = []
    try:
        with load.running():
            # One that is started too early serves nothing half-built.
            parts.append(next_program("api"))
            assert wait_until(lambda: versions() == 503, HANG_SECONDS)
            assert next_program("migrate").wait(HANG_SECONDS) == 0
            assert versions() == 200
            parts.append(next_program("project"))
            assert wait_until(follows, HANG_SECONDS)
            load.url = url
            before = load.answers
            assert wait_until(lambda: load.answers > before + 50, HANG_SECONDS)
    finally:
        for part in parts:
            part.terminate()
            part.wait(HANG_SECONDS)
    assert load.problems == []
    assert next_program("audit", "replay", f"{MODELS_LIBRARY.name}_next").wait(HANG_SECONDS) == 0
    assert running_builds(engine) == []
