"""A read model that fails is named, and holds up nothing but the queries of it."""

import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

import adapters.parts
from adapters.health import overview
from api import backend
from cli.operations import status
from cli.operations.status import print_status
from domain.event import Recorded
from projections.dataset.dataset import DATASET
from projections.engine import failing
from projections.engine.read_model import ReadModel, Write
from projections.registry import READ_MODELS
from tests.adapters.running import eventually
from tests.api.conftest import serving, settings_at
from tests.api.scene import Scene
from tests.servers import Database

NAME = DATASET.name


class Broken(Exception):
    """What a read model with a defect raises."""


class World:
    """The API and the projection, whose read model of images fails while `defect` is set."""

    def __init__(self, scene: Scene, defect: threading.Event) -> None:
        self.scene, self.defect = scene, defect
        self.project_id = scene.project()

    def get(self, path: str, at_least: int | None = None) -> httpx.Response:
        params = {} if at_least is None else {"at_least": at_least}
        return self.scene.http.get(f"/api/v1{path}", params=params)

    def images(self, at_least: int | None = None) -> httpx.Response:
        return self.get(f"/projects/{self.project_id}/images", at_least)

    def health(self) -> tuple[int, dict[str, Any]]:
        """The status of the answer, and what it says of the read model."""
        answer = self.scene.http.get("/health/ready")
        return answer.status_code, answer.json()["parts"][NAME]

    def fails(self) -> bool:
        return "times in a row" in self.health()[1].get("why", "")


@pytest.fixture
def world(migrated: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    defect = threading.Event()

    def project(page: Sequence[Recorded]) -> Iterable[Write]:
        if defect.is_set():
            raise Broken("postgresql://stemma:s3cret@db/stemma is not to be seen")
        return DATASET.project(page)

    broken = ReadModel(NAME, DATASET.metadata, project, DATASET.names)
    read_models = [broken if one is DATASET else one for one in READ_MODELS]
    monkeypatch.setattr(adapters.parts, "READ_MODELS", read_models)
    monkeypatch.setattr(overview, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(overview, "PATIENCE_SECONDS", 0.7)
    with serving(settings_at(migrated, tmp_path, nats_url="nats://127.0.0.1:1")) as scene:
        yield World(scene, defect)


def test_the_others_go_on_and_it_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Were another read model to wait for it, that would not end before the test does.
    monkeypatch.setattr(failing, "FIRST_PAUSE", 3600.0)
    monkeypatch.setattr(failing, "LONGEST_PAUSE", 3600.0)
    monkeypatch.setattr(status, "PATIENCE_SECONDS", 0.3)
    before = world.scene.visible()
    world.defect.set()
    world.scene.images(world.project_id, 1)
    eventually(world.fails)

    project_id, view_id = world.project_id, world.scene.view(world.project_id)
    views = f"/projects/{project_id}/views"
    paths = ("/projects", views, f"/views/{view_id}/models", "/audit/trail")
    for number in range(5):
        position = world.scene.post("/projects", {"name": f"Project {number}"})["position"]
        for path in paths:
            answer = world.get(path, position).raise_for_status().json()
            assert answer["position"] >= position

    refused = world.images(position)
    assert refused.status_code == 503
    assert f"the read model {NAME}, at {before}, fails" in refused.json()["detail"]
    answer = world.images().raise_for_status().json()
    assert (answer["items"], answer["position"]) == ([], before)

    code, named = world.health()
    assert (code, named["status"]) == (200, "degraded")
    assert named["why"].startswith("has failed 1 times in a row")
    assert "Broken" not in named["why"]
    assert f'data-failing="{NAME}"' in world.scene.http.get("/workers").text
    print_status(world.scene.settings)
    printed = capsys.readouterr().out
    assert "failing read models" in printed
    assert "Broken" in printed
    assert "s3cret" not in printed


def test_it_is_tried_again_and_catches_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failing, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(failing, "LONGEST_PAUSE", 0.05)
    world.defect.set()
    world.scene.images(world.project_id, 3)
    head = world.scene.store.head()
    eventually(lambda: "failed 3 times in a row" in world.health()[1].get("why", ""))
    assert world.images(head).status_code == 503

    world.defect.clear()
    assert world.scene.visible() == head
    answer = world.images(head).raise_for_status().json()
    assert (len(answer["items"]), answer["position"]) == (3, head)
    assert world.health()[1] == {"status": "ok"}


def test_what_only_lags_is_waited_for_and_named(
    world: World, migrated: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "WAIT_SECONDS", 0.6)
    with psycopg.connect(migrated.admin_url) as connection:
        for table in DATASET.metadata.sorted_tables:
            # Its rows can be read, and not written.
            connection.execute(f"LOCK TABLE {table.fullname} IN SHARE MODE".encode())
        world.scene.images(world.project_id, 1)
        ahead = world.scene.store.head()
        refused = world.images(ahead)
    assert refused.status_code == 503
    detail = refused.json()["detail"]
    assert re.match(rf"position {ahead} is not visible in .*\b{NAME} after 1 s;", detail), detail
