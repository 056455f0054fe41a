"""How a worker reaches the server that its job's files are on."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import pytest

from stemma_trainer.store import JobStore, ServerAway


class Job(NamedTuple):
    version_id: str = "v1"
    token: str = "secret"


class Answer(BaseHTTPRequestHandler):
    """A server that answers every request with the token that came with it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        content = self.headers.get("Job-Token", "").encode()
        self.send_response(200)
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


def test_a_server_that_does_not_answer_is_away() -> None:
    with pytest.raises(ServerAway, match="GET manifest has failed for too long"):
        JobStore(Job(), "http://127.0.0.1:1", 0).get("manifest")
