"""The table of who may what, each of its cells asked of the running server."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from litestar.routes import HTTPRoute

from adapters.servers.postgres import EmbeddedPostgres
from api.app import create_app
from tests.api.access.table import QUERIES, RIGHTS, TABLE
from tests.api.conftest import serving, settings_at
from tests.api.scene import Scene
from tests.servers import Database, new_database

IN, UNKNOWN, FORBIDDEN, HIDDEN = "let in", "401", "403", "404 as if not there"
HIDDEN_DETAIL = re.compile(r"\b[a-z]+ not found\b")
"""Of what has no id of its own in the message, as a tile of the log has."""


NOWHERE = Database("", "postgresql://nowhere", "postgresql://nowhere")


class Row(NamedTuple):
    right: str
    where: str
    method: str
    path: str


def rows() -> list[Row]:
    found = []
    for line in TABLE.strip().splitlines():
        *what, method, path = line.split()
        found.append(Row(what[0], what[-1], method, path))
    return found


class Sample(NamedTuple):
    """What there is in a project, by the names of path parameters."""

    ids: dict[str, str]

    def address(self, row: Row) -> str:
        query = QUERIES.get(row.path)
        return (f"{row.path}?{query}" if query else row.path).format(**self.ids)


class Doors:
    """A server with two projects alike, and a caller for each role in the first, and everywhere."""

    def __init__(self, scene: Scene, folder: Path) -> None:
        self.scene = scene
        (folder / "root" / "source").mkdir(parents=True)
        self.own, self.other = (self._sample(name, folder) for name in ("Own", "Other"))
        self.callers: dict[tuple[str, str], httpx.Client] = {}
        for role in RIGHTS:
            for where, project in (("own", self.own.ids["project_id"]), ("everywhere", None)):
                account = scene.post("/accounts", {"name": f"{role}-{where}"})["id"]
                body = {"role": role, "project_id": project}
                scene.post(f"/accounts/{account}/roles", body)
                key = scene.post("/keys", {"label": "table", "account_id": account})["key"]
                self.callers[role, where] = scene.client(key)
        scene.visible()

    def _sample(self, name: str, folder: Path) -> Sample:
        scene = self.scene
        project, view = scene.trainable(name)
        version = scene.version(view)
        scene.visible()
        path = f"/api/v1/projects/{project}/images"
        found = scene.http.get(f"/api/v1/versions/{version}").json()["version"]
        first = scene.http.get(path).json()["items"][0]
        image = first["image_id"]
        hook = {"url": "https://93.184.215.14/", "project_id": project}
        trainer = {"name": f"acme/{name.lower().replace(' ', '-')}", "kinds": ["classification"]}
        asked = {"source": str(folder / "root" / "source")}
        return Sample(
            {
                "project_id": project,
                "view_id": view,
                "version_id": version,
                "other_id": version,
                "model_id": found["model_id"],
                "concept_id": found["concepts"][0]["concept_id"],
                "image_id": image,
                "import_id": scene.post(f"/projects/{project}/imports", asked)["id"],
                "experiment_id": scene.post(f"/views/{view}/experiments", {})["id"],
                "trainer_id": scene.post("/trainers", trainer)["id"],
                "image": image,
                "webhook_id": scene.post("/webhooks", hook)["id"],
                "kind": "classification",
                "role": "viewer",
                "account_id": "none",
                "key_id": "none",
                "correlation_id": "none",
                "tile": "0/000",
                "file_path": "style.css",
                "name": "project.created",
                "file": "1.json",
                "position": "1",
                "digest": first["blob"],
                "epoch": "1",
                "item": "none",
                "worker": "none",
                "key": image,
                "path": "openapi.json",
            }
        )

    def answer(self, client: httpx.Client, row: Row, sample: Sample) -> str:
        """What the door says. A command that is let in is then refused for its headers."""
        headers = {"If-Match": "nonsense"} if row.method != "GET" else {}
        with client.stream(row.method, sample.address(row), headers=headers) as response:
            status = response.status_code
            to_login = response.headers.get("Location", "").startswith("/login?")
            if status == 401 or (status == 303 and to_login):
                return UNKNOWN
            if status == 403:
                return FORBIDDEN
            # There is no NATS here, and the workers' list says so.
            assert status < 500 or (row.path, status) == ("/api/v1/workers", 503), row
            # Signing out is refused to nobody: a key is no session, and there is nothing to end.
            # Codes change nothing, and take no headers of commands.
            harmless = row.path in {"/api/v1/sessions/current", "/api/v1/sessions/codes"}
            assert row.method == "GET" or status >= 400 or harmless, row
            hidden = status == 404 and HIDDEN_DETAIL.search(response.read().decode())
            return HIDDEN if hidden else IN


@pytest.fixture(scope="module")
def doors(
    postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Doors]:
    folder = tmp_path_factory.mktemp("doors")
    with new_database(postgres, migrated_template) as database:
        settings = settings_at(database, folder, import_roots=str(folder / "root"))
        with serving(settings) as scene:
            yield Doors(scene, folder)


def test_every_route_is_in_the_table(tmp_path: Path) -> None:
    app = create_app(settings_at(NOWHERE, tmp_path))
    there = {
        f"{method} {route.path_format}"
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method in route.methods - {"OPTIONS", "HEAD"}
    }
    assert there == {f"{row.method} {row.path}" for row in rows()}


def test_without_a_key_only_what_is_open_opens(doors: Doors) -> None:
    with doors.scene.nobody() as nobody:
        wrong = [
            row
            for row in rows()
            if doors.answer(nobody, row, doors.own) != (IN if row.right == "open" else UNKNOWN)
        ]
    assert wrong == []


@pytest.mark.parametrize("role", RIGHTS)
def test_a_role_opens_what_the_table_says(doors: Doors, role: str) -> None:
    wrong = []
    for place in ("own", "other", "everywhere"):
        client = doors.callers[role, "everywhere" if place == "everywhere" else "own"]
        sample = doors.other if place == "other" else doors.own
        for row in rows():
            if place == "other" and row.where != "of":
                continue  # nothing of a project is named
            answer, expected = doors.answer(client, row, sample), expect(row, role, place)
            if answer != expected:
                wrong.append((place, row.method, row.path, answer, expected))
    assert wrong == []


def expect(row: Row, role: str, place: str) -> str:
    if row.right in {"open", "account"}:
        return IN
    if row.right == "token":
        return UNKNOWN
    carries = row.right in RIGHTS[role]
    if place == "other":
        # Rights that are asked for by the query are asked for in some project before.
        by_query = "{project_id}" in QUERIES.get(row.path, "")
        return HIDDEN if carries or not by_query else FORBIDDEN
    if row.where == "everywhere":
        carries = carries and place == "everywhere"
    return IN if carries else FORBIDDEN
