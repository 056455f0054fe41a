"""How a worker reaches the server that its job's files are on."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import httpx
import pytest

from stemma_trainer.store import JobStore, ServerAway


class Job(NamedTuple):
    version_id: str = "v1"
    token: str = "secret"


PROBLEM, PAGE = "application/problem+json", "text/html"
ANSWERS: list[tuple[int, str]] = []
"""The first answers of the server, which it has not given yet."""


class Answer(BaseHTTPRequestHandler):
    """A server that answers every request with the token that came with it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        content = self.headers.get("Job-Token", "").encode()
        status, kind = ANSWERS.pop(0) if ANSWERS else (200, "text/plain")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_server_on_this_machine_is_not_reached_through_a_proxy(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert JobStore(Job(), url, 0).get("manifest") == b"secret"


class Clock:
    """Time that passes only while a store waits."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("stemma_trainer.store.time", made)
    return made


@pytest.mark.parametrize("answer", [(404, PAGE), (401, PAGE), (409, PAGE), (502, PAGE)])
def test_what_a_proxy_answers_while_the_server_restarts_is_no_refusal(
    url: str, answer: tuple[int, str], clock: Clock
) -> None:
    store = JobStore(Job(), url, 5)
    ANSWERS[:] = [answer, answer]
    assert store.get("manifest") == b"secret"
    assert clock.now < 105
    ANSWERS[:] = [answer] * 99
    with pytest.raises(ServerAway, match=rf"too long: {answer[0]}") as caught:
        store.get("manifest")
    assert not caught.value.reached
    ANSWERS.clear()


@pytest.mark.usefixtures("clock")
def test_a_server_that_is_not_told_its_name_and_one_without_room_are_waited_for(url: str) -> None:
    for status, reached in ((421, False), (503, True)):
        ANSWERS[:] = [(status, PROBLEM)] * 99
        with pytest.raises(ServerAway) as caught:
            JobStore(Job(), url, 5).get("manifest")
        assert caught.value.reached == reached
    ANSWERS.clear()


def test_what_can_never_succeed_is_not_repeated(url: str) -> None:
    for answer in ((413, PAGE), (404, PROBLEM), (422, PROBLEM)):
        ANSWERS[:] = [answer]
        with pytest.raises(httpx.HTTPStatusError, match=str(answer[0])):
            JobStore(Job(), url, 60).get("manifest")


def test_patience_begins_with_the_first_failure(
    url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of gigabytes may be on its way for longer than that."""
    request = httpx.Client.request

    def slow(client: httpx.Client, *args: Any, **options: Any) -> httpx.Response:
        clock.now += 1000
        return request(client, *args, **options)

    monkeypatch.setattr(httpx.Client, "request", slow)
    ANSWERS[:] = [(502, PAGE)]
    assert JobStore(Job(), url, 5).get("manifest") == b"secret"


def test_a_server_that_does_not_answer_is_away() -> None:
    with pytest.raises(ServerAway, match="GET manifest has failed for too long"):
        JobStore(Job(), "http://127.0.0.1:1", 0).get("manifest")
