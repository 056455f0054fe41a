"""Limits of one account: requests a minute, trainings at once; and what surrounds every answer."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from litestar.connection import ASGIConnection

from adapters.servers.postgres import EmbeddedPostgres
from api.access.limits import client_of
from tests.api.conftest import serving, settings_at
from tests.api.scene import KEY, Scene
from tests.servers import new_database
from tests.system.system import eventually
from tests.waiting import HANG_SECONDS


@pytest.fixture(scope="module")
def strict(
    postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("strict")
    limits = {"max_trainings": 2, "rate_limit": 600, "streams": 2, "failed_sign_ins": 10}
    with (
        new_database(postgres, migrated_template) as database,
        serving(settings_at(database, folder, **limits)) as scene,
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
    assert "2 of your trainings are queued or running" in refused.json()["detail"]
    assert refused.headers["Retry-After"] == "60"
    begun = next(number for number, one in enumerate(answers) if one.status_code == 201)
    assert train(ada, begun).json()["id"] == answers[begun].json()["id"], "a repeat is no other"
    assert train(bob, 0).status_code == 201
    version = answers[begun].json()["id"]
    ada.post(f"/api/v1/versions/{version}/cancel").raise_for_status()
    refused_at = next(number for number, one in enumerate(answers) if one.status_code == 429)
    assert train(ada, refused_at).status_code == 201, "there is room again"


class Clock:
    """What requests are counted by, however long they take."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    held = Clock()
    held.now = time.monotonic()
    monkeypatch.setattr("api.access.limits.time", held)
    return held


def test_who_asks_too_often_is_told_when_to_ask_again(strict: Scene, clock: Clock) -> None:
    eve = strict.person("eve", "viewer")
    for _ in range(600):
        assert eve.get("/api/v1/whoami").is_success
    answer = eve.get("/api/v1/whoami")
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "1"
    assert "600 requests per minute" in answer.json()["detail"]
    assert strict.http.get("/api/v1/whoami").is_success, "another account is not held up"
    assert eve.get("/static/style.css").is_success
    clock.now += 0.15
    assert [eve.get("/api/v1/whoami").status_code for _ in range(2)] == [200, 429]


def test_an_account_has_so_many_streams_and_long_polls_at_once(strict: Scene) -> None:
    view = strict.trainable("Followed")[1]
    version = f"/api/v1/versions/{strict.version(view)}/events"
    strict.visible()
    zoe, yan = strict.person("zoe", "viewer"), strict.person("yan", "viewer")
    feed = "/api/v1/events"
    poll: dict[str, str | int] = {
        "after": strict.store.head(),
        "wait": 20,
        "name": "project.created",
    }

    def polled() -> httpx.Response:
        """The answer, once none of the streams below is in the way."""
        while (answer := zoe.get(feed, params=poll, timeout=HANG_SECONDS)).status_code == 429:
            pass
        return answer

    with zoe.stream("GET", version) as one, ThreadPoolExecutor() as pool:
        assert one.is_success
        with zoe.stream("GET", f"{feed}/stream") as other:
            assert other.is_success
            for path, asked in ((version, {}), (f"{feed}/stream", {}), (feed, poll)):
                refused = zoe.get(path, params=asked)
                assert refused.status_code == 429, path
                assert "2 of your streams and long polls are open" in refused.json()["detail"]
                assert "STEMMA_STREAMS" in refused.json()["detail"]
                assert refused.headers["Retry-After"] == "5"
            assert zoe.get(feed, params={"limit": 1}).is_success, "a page at once is none"
            assert opens(yan, version), "another account is not held up"
        eventually(lambda: opens(zoe, version), "there is room again")
        waiting = pool.submit(polled)
        eventually(lambda: not opens(zoe, version), "the long poll counts")
        strict.project("Ends the poll")
        assert waiting.result().is_success
        eventually(lambda: opens(zoe, version), "there is room again")
        for _ in range(2):
            wrong = zoe.get(f"{feed}/stream", params={"name": "nonsense"})
            assert wrong.status_code == 422
        assert opens(zoe, version), "what was refused is not counted"


def opens(client: httpx.Client, path: str) -> bool:
    """Whether a stream does; then it is closed."""
    with client.stream("GET", path) as answer:
        return answer.is_success


def test_who_is_wrong_too_often_is_told_to_wait_and_who_is_right_is_let_in(
    strict: Scene, clock: Clock
) -> None:
    wrong = "stemma_" + "0" * 16 + "_" + "0" * 64
    with strict.nobody() as guesser:

        def guess(number: int) -> httpx.Response:
            if number % 2:
                return guesser.post("/api/v1/sessions", json={"key": wrong})
            return guesser.get("/api/v1/whoami", headers={"Authorization": f"Bearer {wrong}"})

        answers = [guess(number) for number in range(14)]
        assert [one.status_code for one in answers] == 10 * [401] + 4 * [429]
        refused = answers[-1]
        assert "your address" in refused.json()["detail"]
        assert refused.headers["Retry-After"] == "6"
        clock.now += 6
        assert [guess(number).status_code for number in range(2)] == [401, 429]
        assert strict.http.get("/api/v1/whoami").is_success, "from the same address"
        assert guesser.post("/api/v1/sessions", json={"key": KEY}).status_code == 201
    with strict.nobody() as nobody:
        assert nobody.get("/api/v1/whoami").status_code == 401, "who gives no key guesses none"

    def reasons() -> set[str]:
        return {one["reason"] for one in strict.http.get("/api/v1/refusals").json()["items"]}

    eventually(lambda: "too many failed sign-ins" in reasons(), "it is on record")


def test_failures_are_counted_by_client() -> None:
    def client(host: str) -> str:
        scope: Any = {"type": "http", "client": (host, 1)}
        return client_of(ASGIConnection(scope))

    assert client("192.0.2.1") == client("::ffff:192.0.2.1") != client("192.0.2.2")
    assert client("2001:db8::1") == client("2001:db8::ffff:1") != client("2001:db8:0:1::1")
    assert client("fe80::1%eth0") == client("fe80::2%eth0")
    assert client("a socket") == "a socket"


def test_a_head_without_an_end_is_cut_off(strict: Scene) -> None:
    host, port = strict.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=HANG_SECONDS) as connection:
        connection.sendall(b"GET /login HTTP/1.1\r\nHost: localhost\r\nX: ")
        with suppress(ConnectionError):
            for _ in range(100):
                connection.sendall(b"a" * 65536)
            assert connection.recv(65536).startswith(b"HTTP/1.1 400"), "it was read to its end"


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_a_body_that_is_nested_without_end_is_no_defect(strict: Scene, opening: str) -> None:
    body = '{"name": "x", "options": {"x": ' + opening * 200_000
    headers = {"Content-Type": "application/json"}
    view = strict.trainable("Deep", images=5)[1]
    path = f"/api/v1/views/{view}/versions"
    refused = strict.http.post(path, content=body, headers=headers)
    assert refused.status_code in {400, 422}, refused.text


def test_an_if_match_of_any_length_is_no_defect(strict: Scene) -> None:
    headers = {"If-Match": f'"{"9" * 5000}"'}
    project = strict.project("Matched")
    refused = strict.http.patch(f"/api/v1/projects/{project}", json={"name": "y"}, headers=headers)
    assert refused.json()["errors"][0]["field"] == "If-Match"


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
