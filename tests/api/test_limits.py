"""Limits of one account: requests a minute, trainings at once; and what surrounds every answer."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import msgspec
import pytest

from adapters.embedded_postgres import EmbeddedPostgres
from tests.api.conftest import serving, settings_at
from tests.api.scene import Scene
from tests.servers import new_database


@pytest.fixture(scope="module")
def strict(
    postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("strict")
    with (
        new_database(postgres, migrated_template) as database,
        serving(settings_at(database, folder, max_trainings=2, rate_limit=600)) as scene,
    ):
        yield scene


def test_an_account_has_so_many_trainings_at_once(strict: Scene) -> None:
    # Of one view they would be decided one after the other anyway: its model counts them.
    views = [strict.trainable(f"Digits {number}")[1] for number in range(4)]
    ada, bob = strict.person("ada", "trainer"), strict.person("bob", "trainer")

    def train(client: httpx.Client, number: int) -> httpx.Response:
        body = {"name": f"Try {number}", "options": {}}
        headers = {"Idempotency-Key": f"{id(client)} {number}"}
        return client.post(f"/api/v1/views/{views[number]}/versions", json=body, headers=headers)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda number: train(ada, number), range(4)))
    assert sorted(one.status_code for one in answers) == [201, 201, 429, 429]
    refused = next(one for one in answers if one.status_code == 429)
    assert "2 of your trainings wait or run" in refused.json()["detail"]
    assert refused.headers["Retry-After"] == "60"
    begun = next(number for number, one in enumerate(answers) if one.status_code == 201)
    assert train(ada, begun).json()["id"] == answers[begun].json()["id"], "a repeat is no other"
    assert train(bob, 0).status_code == 201
    version = answers[begun].json()["id"]
    ada.post(f"/api/v1/versions/{version}/cancel").raise_for_status()
    refused_at = next(number for number, one in enumerate(answers) if one.status_code == 429)
    assert train(ada, refused_at).status_code == 201, "there is room again"


def test_who_asks_too_often_is_told_when_to_ask_again(strict: Scene) -> None:
    eve = strict.person("eve", "viewer")
    for _ in range(650):
        answer = eve.get("/api/v1/whoami")
        if answer.status_code == 429:
            break
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "1"
    assert "600 requests a minute" in answer.json()["detail"]
    assert strict.http.get("/api/v1/whoami").is_success, "another account is not held up"
    assert eve.get("/static/style.css").is_success


@pytest.mark.parametrize(
    "path", ["/", "/login", "/api/v1/projects", "/nothing", "/static/style.css", "/health/live"]
)
def test_every_answer_has_the_headers_that_browsers_obey(strict: Scene, path: str) -> None:
    headers = strict.http.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    policy = headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= set(policy)
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    if not path.startswith("/static/"):
        assert headers["Cache-Control"] in {"private, no-cache", "no-store"}


def test_a_host_that_is_not_ours_is_refused(strict: Scene) -> None:
    for host, status in (("evil.example", 421), ("localhost:1", 200), ("[::1]:80", 200)):
        asked = strict.http.get("/api/v1/whoami", headers={"Host": host})
        assert asked.status_code == status, host
    told = strict.http.get("/login", headers={"Host": "evil.example"}).json()["detail"]
    assert "STEMMA_API_HOSTS" in told
    assert strict.http.get("/health/live", headers={"Host": "10.0.0.7"}).is_success


def test_a_host_that_the_operator_names_is_ours(strict: Scene, tmp_path: Path) -> None:
    settings = strict.settings
    named = msgspec.structs.replace(settings, data=tmp_path, api_hosts="stemma.example.com")
    with serving(named) as scene:
        asked = scene.http.get("/login", headers={"Host": "Stemma.example.com:8300"})
        assert asked.is_success
