"""The data folder's disk fills up and is freed: all goes on by itself, and nothing acknowledged is
lost."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.client import ApiClient
from tests.adapters.dataset.importing import png, write_files
from tests.servers import server_folder
from tests.small_disk import SmallDisk, small_disk
from tests.system.system import RunningSystem, annotated_digits, eventually, running_system
from tests.system.test_import_faults import command, run
from tests.waiting import HANG_SECONDS

MEGABYTES = 320
"""A new cluster of PostgreSQL takes some 60, of which 16 are its log's first segment."""

OPTIONS = {
    "architecture": "mobilenet_v3_small",
    "width": 32,
    "height": 32,
    "epochs": 40,
    "seed": 3,
    "patience": 40,
}
IMAGES = 600


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    with server_folder() as folder, small_disk(Path(folder), MEGABYTES) as disk:
        yield disk


def test_a_disk_that_fills_up_during_a_training_and_an_import(
    disk: SmallDisk, tmp_path: Path
) -> None:
    files = {f"{number % 3}/{number}.png": png(number) for number in range(IMAGES)}
    source = write_files(tmp_path / "source", files)
    with running_system(disk.folder) as system, system.client() as client:
        view_id = annotated_digits(client, 40)
        created = client.command(f"views/{view_id}/versions", {"options": OPTIONS})
        version_id = created["id"]
        client.query(f"versions/{version_id}", at_least=created["position"])
        eventually(lambda: iterations(client, version_id) > 0, "the training is under way")
        asked = subprocess.Popen(
            command("import", source, "--project", "Imported", "--view", "class"),
            env=os.environ | {"STEMMA_DATA": str(disk.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        eventually(lambda: "Imported" in projects(client), "the import is asked for")
        acknowledged = projects(client)
        disk.fill()
        why = eventually(lambda: unwell(system), "health tells that something is wrong")
        for number in range(10):
            answer = create(system, f"While full {number}")
            if answer is not None and answer.status_code == 201:
                acknowledged.add(f"While full {number}")
        stuck = eventually(lambda: unwell(system), "it is still wrong")
        print(f"unwell: {why}, then {stuck}")
        disk.free()
        eventually(lambda: unwell(system) == {}, "all is well again")
        output, _ = asked.communicate(timeout=HANG_SECONDS)
        assert asked.returncode == 0, output
        assert f"added {IMAGES:,}, annotated {IMAGES:,}" in output
        version = finished(client, version_id)
        assert version["status"] == "ready", version["reason"]
        assert acknowledged <= projects(client)
        assert run(system, "audit", "replay").returncode == 0
        assert run(system, "audit", "verify").returncode == 0


def iterations(client: ApiClient, version_id: str) -> int:
    done: int = client.query(f"versions/{version_id}/progress")["progress"]["iterations_done"]
    return done


def projects(client: ApiClient) -> set[str]:
    return {project["name"] for project in client.query_all("projects")}


def finished(client: ApiClient, version_id: str) -> dict[str, Any]:
    for _ in client.follow(f"versions/{version_id}/events"):
        pass
    version: dict[str, Any] = client.query(f"versions/{version_id}")["version"]
    return version


def unwell(system: RunningSystem) -> dict[str, str]:
    """Why each part that is not well is not; the API, too, where it does not answer."""
    try:
        answer = httpx.get(f"{system.runtime.api_url}/health/ready", timeout=HANG_SECONDS)
    except httpx.TransportError as error:
        return {"api": str(error)}
    parts = answer.json()["parts"]
    return {name: part["why"] for name, part in parts.items() if part["status"] != "ok"}


def create(system: RunningSystem, name: str) -> httpx.Response | None:
    """One attempt to create a project."""
    try:
        return httpx.post(
            f"{system.runtime.api_url}/api/v1/projects",
            json={"name": name},
            headers={"Authorization": f"Bearer {system.runtime.api_key}"},
            timeout=HANG_SECONDS,
        )
    except httpx.TransportError:
        return None
