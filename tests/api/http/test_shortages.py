"""What the server is short of is said so, and what a form has too much of."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.api.conftest import serving, settings_at
from tests.api.dataset.test_images import GOOD, NOISE, upload
from tests.api.scene import Scene
from tests.servers import Database
from tests.small_disk import SmallDisk, small_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    (tmp_path / "blobs").mkdir()
    with small_disk(tmp_path / "blobs", 8) as disk:
        yield disk


@pytest.fixture
def scene(disk: SmallDisk, migrated: Database, tmp_path: Path) -> Iterator[Scene]:
    assert disk.folder == tmp_path / "blobs"
    with serving(settings_at(migrated, tmp_path)) as scene:
        yield scene


def assert_short_of_room(answer: httpx.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert "the disk is full: free some space" in answer.json()["detail"]
    assert int(answer.headers["Retry-After"]) > 0


def test_an_upload_on_a_full_disk_is_tried_again_later(scene: Scene, disk: SmallDisk) -> None:
    project_id = scene.project()
    disk.fill()
    assert_short_of_room(upload(scene, project_id, ("noise.png", NOISE)))
    disk.free()
    assert upload(scene, project_id, ("noise.png", NOISE)).status_code == 201


def test_an_upload_without_room_for_temporary_files_is_tried_again_later(
    scene: Scene, disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large upload is spooled there."""
    project_id = scene.project()
    monkeypatch.setattr(tempfile, "tempdir", str(disk.folder))
    disk.fill()
    assert_short_of_room(upload(scene, project_id, ("large.png", bytes(2_000_000))))


FULL = """
CREATE FUNCTION log.full() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
CREATE TRIGGER a_full_disk BEFORE INSERT ON log.stemma_events
FOR EACH STATEMENT EXECUTE FUNCTION log.full()
"""


def test_a_full_disk_of_the_database_is_no_database_that_does_not_answer(
    server: Scene, migrated: Database
) -> None:
    with psycopg.connect(migrated.admin_url) as connection:
        connection.execute(FULL)
    answer = server.http.post("/api/v1/projects", json={"name": "Pets"})
    assert answer.status_code == 503
    assert "the database's disk is full" in answer.json()["detail"]


def test_a_form_with_too_many_files_is_too_large(server: Scene) -> None:
    project_id = server.project()
    many = [(f"{number}.png", b"x") for number in range(1001)]
    answer = upload(server, project_id, *many)
    assert answer.status_code == 413
    assert "more than 1,000 parts" in answer.json()["detail"]
    assert upload(server, project_id, ("good.png", GOOD)).status_code == 201
