"""A proxy that the environment names gets no key."""

import pytest

from cli.client import ApiClient
from cli.operations.up import wait_ready
from stemma_client.over_http import follow_http
from stemma_client.proxies import uses_proxy
from tests.api.scene import KEY, Scene
from tests.waiting import HANG_SECONDS


@pytest.mark.parametrize(
    ("url", "used"),
    [
        ("http://127.0.0.1:8300", False),
        ("http://localhost:8300", False),
        ("https://[::1]:8300", False),
        ("https://127.9.9.9", False),
        ("http://stemma.example", False),
        ("https://stemma.example", True),
        ("", False),
    ],
)
def test_only_tls_to_another_machine_goes_through_a_proxy(url: str, used: bool) -> None:
    assert uses_proxy(url) is used


def test_clients_reach_a_server_on_this_machine_behind_a_proxy(
    server: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    project_id = server.project()
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        # A proxy that does not answer: a request that went to it would fail.
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert wait_ready(server.url, HANG_SECONDS)
    with ApiClient(server.url, KEY) as client:
        assert client.query(f"projects/{project_id}")["project"]["project_id"] == project_id
    assert next(follow_http(server.url, key=KEY)).position == 1
