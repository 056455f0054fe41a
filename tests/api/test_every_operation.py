"""Requests made up from the OpenAPI document, under each role's key and without one: none finds a
defect, and every answer is one that the document declares."""

from collections.abc import Iterator
from contextlib import suppress
from fnmatch import fnmatch
from typing import Any
from urllib.parse import urlsplit

import hypothesis
import pytest
import requests
import schemathesis
from hypothesis.strategies import integers
from schemathesis import GenerationMode
from schemathesis.core.result import Ok

from adapters.servers.nats import EmbeddedNats
from adapters.servers.postgres import EmbeddedPostgres
from domain.access.roles import Role
from tests.api.conftest import serving, settings_at
from tests.api.decoding import decode_answer
from tests.api.scene import Scene
from tests.servers import new_database
from tests.waiting import HANG_SECONDS

NOBODY = "nobody"
CALLERS = (NOBODY, *map(str, Role))
HEADERS = ("ETag", "Retry-After", "WWW-Authenticate")
"""Headers that the document declares where they occur."""

SENT_BY = 2
"""How many callers send the same request: making one up takes longer than answering it."""

MADE_UP = hypothesis.settings(
    max_examples=len(CALLERS) // SENT_BY,
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
        self.sessions[NOBODY] = requests.Session()
        self.wrong: list[str] = []
        self.seen: set[int] = set()

    def _session(self, role: Role) -> requests.Session:
        session = requests.Session()
        session.headers.update(self.scene.person(f"a-{role}", role).headers)
        return session

    def explore(self, operation: Any, mode: GenerationMode) -> dict[str, int]:
        """The status of a request made up for each caller, some of what is there in its path."""
        statuses: dict[str, int] = {}
        there = {name: key for name, key in self.ids.items() if f"{{{name}}}" in operation.path}

        @MADE_UP
        # The number makes requests differ that have nothing else to differ in.
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode), _number=integers())
        def ask(case: Any, _number: int) -> None:
            callers = sorted(self.sessions, key=lambda one: one in statuses)[:SENT_BY]
            case.path_parameters = (case.path_parameters or {}) | there
            # Another test has its waits; a made-up one is mostly beyond the log.
            case.query = {k: v for k, v in (case.query or {}).items() if k not in {"wait"}}
            asked = case.as_transport_kwargs(base_url=self.scene.url)
            asked["headers"].pop("Authorization", None)
            asked.pop("cookies", None)
            for caller in callers:
                session = self.sessions[caller]
                with session.request(**asked, stream=True, timeout=HANG_SECONDS) as response:
                    statuses[caller] = response.status_code
                    self.check(operation, caller, response)

        if mode == GenerationMode.POSITIVE:
            ask()
        else:
            with suppress(hypothesis.errors.Unsatisfiable):
                ask()  # of an operation without parameters nothing can be wrong
        return statuses

    def check(self, operation: Any, caller: str, response: requests.Response) -> None:
        """Note what the document does not declare."""
        self.seen.add(response.status_code)
        asked = f"{operation.label} of {caller}: {response.status_code}"
        declared = operation.schema.raw_schema
        entry = declared["paths"][operation.path][operation.method.lower()]["responses"].get(
            str(response.status_code)
        )
        if entry is None:
            self.wrong.append(f"{asked} {response.text[:200]}")
            return
        if "$ref" in entry:
            entry = declared["components"]["responses"][entry["$ref"].rpartition("/")[2]]
        media_type = response.headers.get("Content-Type", "").partition(";")[0]
        length = response.headers.get("Content-Length")
        if (
            length != "0"
            and response.status_code != 304
            and not any(fnmatch(media_type, one) for one in entry["content"])
        ):
            self.wrong.append(f"{asked}: {media_type} is not among {list(entry['content'])}")
        if response.ok and media_type == "application/json" and length != "0":
            url = urlsplit(response.url)
            decode_answer(operation.method.upper(), url.path, response.content)
        for header in HEADERS:
            if header in response.headers and header not in entry.get("headers", {}):
                self.wrong.append(f"{asked}: header {header}")


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


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_made_up_request_finds_a_defect(explorers: Explorers, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_url(f"{explorers.scene.url}/schema/openapi.json")
    found: dict[str, dict[str, int]] = {}
    explorers.seen.clear()
    for one in schema.get_all_operations():
        assert isinstance(one, Ok)
        operation = one.ok()
        found[operation.label] = explorers.explore(operation, mode)
    assert not explorers.wrong, "\n".join(explorers.wrong)
    # No job was ever sent to this NATS, and the workers' list says that it cannot count them.
    assert set(found.pop("GET /api/v1/workers").values()) <= {200, 400, 401, 403, 422, 503}
    assert {
        name: told for name, told in found.items() if max(told.values(), default=0) >= 500
    } == {}
    if mode == GenerationMode.POSITIVE:
        assert {name: told for name, told in found.items() if set(told) != set(CALLERS)} == {}
        assert found["GET /api/v1/events/stream"]["viewer"] == 200
    assert {200, 401, 403, 404, 422} <= explorers.seen
