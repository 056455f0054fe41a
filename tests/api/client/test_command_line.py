"""The command line's caller is the package's: what is busy is waited for, what is refused ends."""

from collections.abc import Iterator

import pytest

from cli.client import ApiClient, ApiProblem
from tests.api.client import proxy as doing
from tests.api.client.proxy import Proxy
from tests.api.client.test_faults import BUSY
from tests.api.scene import KEY, Scene


@pytest.fixture
def between(site: Scene) -> Iterator[Proxy]:
    with Proxy(site.url).running() as proxy:
        yield proxy


def test_a_busy_server_is_waited_for(between: Proxy, site: Scene) -> None:
    between.actions.extend([BUSY, doing.cut_after])
    with ApiClient(between.url, KEY) as client:
        made = client.command("projects", {"name": "Busy"})
    listed = site.http.get("/api/v1/projects", params={"name": "Busy"}).json()["items"]
    assert [row["project_id"] for row in listed] == [made["id"]]


def test_each_field_that_is_wrong_is_said(between: Proxy, site: Scene) -> None:
    _, view = site.trainable("Wrong")
    with ApiClient(between.url, KEY) as client:
        with pytest.raises(ApiProblem, match="epochs is 0") as wrong:
            client.command(f"views/{view}/versions", {"options": {"epochs": 0}})
        assert wrong.value.status == 422
        assert wrong.value.fields == {"epochs"}


def test_a_stream_goes_on_and_ends_where_the_key_is_refused(between: Proxy, site: Scene) -> None:
    _, view = site.trainable("Followed")
    version = site.version(view)
    site.begin(version, 1)
    site.epoch(version, 1, of=1)
    site.finish(version)
    between.actions.append(doing.cut_at(400))
    with ApiClient(between.url, KEY) as client:
        events = [event.event for event in client.follow(f"versions/{version}/events")]
    assert events[-1] == "end"
    assert "metrics" in events
    with ApiClient(between.url, "stm_wrong") as stranger, pytest.raises(ApiProblem) as refused:
        list(stranger.follow(f"versions/{version}/events"))
    assert refused.value.status == 401
