"""Requests made up from the OpenAPI document, under each role's key: none finds a defect."""

from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

from adapters.servers.nats import EmbeddedNats
from adapters.servers.postgres import EmbeddedPostgres
from domain.access.roles import Role
from tests.api.conftest import serving, settings_at
from tests.api.scene import Scene
from tests.servers import new_database
from tests.waiting import HANG_SECONDS

MADE_UP = hypothesis.settings(
    max_examples=len(Role),
    derandomize=True,
    database=None,
    deadline=None,
    phases=[hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)


class Explorers:
    """A server, what there is in it, and a key of somebody in each role, everywhere."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        project, view = scene.trainable()
        version = scene.version(view)
        scene.visible()
        found = scene.http.get(f"/api/v1/versions/{version}").json()["version"]
        images = scene.http.get(f"/api/v1/projects/{project}/images").json()["items"]
        self.ids = {
            "project_id": project,
            "view_id": view,
            "version_id": version,
            "other_id": version,
            "model_id": found["model_id"],
            "image_id": images[0]["image_id"],
        }
        self.sessions = {str(role): self._session(role) for role in Role}

    def _session(self, role: Role) -> requests.Session:
        session = requests.Session()
        session.headers.update(self.scene.person(f"a-{role}", role).headers)
        return session

    def explore(self, operation: Any) -> dict[str, int]:
        """The status of a request made up for each role, some of what is there in its path."""
        statuses: dict[str, int] = {}
        there = {name: key for name, key in self.ids.items() if f"{{{name}}}" in operation.path}

        @MADE_UP
        @hypothesis.given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
        def ask(case: Any) -> None:
            role = min(self.sessions, key=lambda one: one in statuses)
            case.path_parameters = (case.path_parameters or {}) | there
            # A position that never comes is waited for, and then it is a 503: as it should be.
            case.query = {k: v for k, v in (case.query or {}).items() if k != "at_least"}
            session = self.sessions[role]
            response = case.call(base_url=self.scene.url, session=session, timeout=HANG_SECONDS)
            statuses[role] = response.status_code

        ask()
        return statuses


@pytest.fixture(scope="module")
def explorers(
    postgres: EmbeddedPostgres,
    nats_server: EmbeddedNats,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Explorers]:
    folder = tmp_path_factory.mktemp("explored")
    with (
        new_database(postgres, migrated_template) as database,
        serving(settings_at(database, folder, nats_url=nats_server.url)) as scene,
    ):
        yield Explorers(scene)


def test_no_made_up_request_finds_a_defect(explorers: Explorers) -> None:
    schema = schemathesis.openapi.from_url(f"{explorers.scene.url}/schema/openapi.json")
    found: dict[str, dict[str, int]] = {}
    for one in schema.get_all_operations():
        assert isinstance(one, Ok)
        operation = one.ok()
        found[operation.label] = explorers.explore(operation)
    # No job was ever sent to this NATS, and the workers' list says that it cannot count them.
    assert set(found.pop("GET /api/v1/workers").values()) <= {200, 422, 503}
    assert {name: told for name, told in found.items() if max(told.values()) >= 500} == {}
    assert {role for told in found.values() for role in told} == set(explorers.sessions)
