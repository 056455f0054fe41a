"""The client follows over HTTP, and so does `stemma events follow`; it says what it is refused."""

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import islice
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from adapters.nats.jetstream import connect, ensure_streams
from adapters.subscriptions.relay import Relay
from cli.main import main
from domain.dataset.project import ProjectCreated, ProjectRenamed
from stemma_client import Forbidden, Invalid, Received, Refused, Unknown, follow_http
from stemma_client import events as published
from stemma_client.over_http import PAGE
from stemma_client.over_nats import follow_nats
from tests.api.scene import KEY, Scene
from tests.application.scenes import recorded
from tests.waiting import HANG_SECONDS

Answer = tuple[int, dict[str, str], dict[str, Any]]
"""Status, headers and body."""


def begun(site: Scene, renamings: int = 0) -> tuple[str, int]:
    """A project's id, renamed so often, and the position before it."""
    before = site.store.head()
    project = site.project("Digits")
    revisions = range(2, 2 + renamings)
    events = [ProjectRenamed(f"Digits {one}") for one in revisions]
    stream = f"project-{project}"
    if events:
        site.store.append(
            [recorded(stream, at, event) for at, event in zip(revisions, events, strict=True)]
        )
    return project, before


def test_it_begins_after_the_position_and_waits_for_what_comes(site: Scene) -> None:
    project, before = begun(site, renamings=PAGE)
    events = follow_http(site.url, key=KEY, after=before)
    found = list(islice(events, PAGE + 1))
    assert [one.position for one in found] == list(range(before + 1, before + PAGE + 2))
    assert found[0].event == published.ProjectCreated(name="Digits")
    assert found[-1].event == published.ProjectRenamed(name=f"Digits {PAGE + 1}")
    assert found[-1].subject == f"project-{project}"
    later = threading.Timer(0.3, begun, [site])
    later.start()
    assert next(events).event == published.ProjectCreated(name="Digits")
    later.join()


def test_filters_are_the_servers(site: Scene) -> None:
    one, before = begun(site, renamings=2)
    other, _ = begun(site, renamings=1)
    follow = partial(follow_http, site.url, key=KEY, after=before)
    renamed = follow(names=["project.renamed"])
    assert [found.revision for found in islice(renamed, 3)] == [2, 3, 2]
    of_one = follow_http(
        site.url, key=KEY, after=before, subjects=[f"project-{one}"], names=["project.*"]
    )
    assert [found.revision for found in islice(of_one, 3)] == [1, 2, 3]
    of_both = follow_http(
        site.url, key=KEY, after=before, subjects=[f"project-{one}", f"project-{other}"]
    )
    assert [found.revision for found in islice(of_both, 5)] == [1, 2, 3, 1, 2]


def test_a_position_that_the_log_has_not_reached_is_refused(site: Scene) -> None:
    with pytest.raises(Invalid, match="an older log was restored") as refused:
        next(follow_http(site.url, key=KEY, after=site.store.head() + 1_000_000))
    assert refused.value.status == 422


def test_what_is_larger_than_a_message_on_nats_is_fetched_over_http(
    site: Scene, nats_url: str
) -> None:
    _, before = begun(site)
    large = recorded("project-large", 1, ProjectCreated("Ünï" * 400_000))
    metadata = msgspec.structs.replace(large.metadata, actor="Zoë")
    site.store.append([msgspec.structs.replace(large, metadata=metadata)])
    begun(site)

    async def follow(**asked: Any) -> list[Received]:
        client = await connect(nats_url, "test")
        await ensure_streams(client.jetstream())
        await Relay(site.store, client.jetstream()).catch_up()
        await client.close()
        async with asyncio.timeout(HANG_SECONDS):
            events = follow_nats(nats_url, after=before, **asked)
            found = [await anext(events) for _ in range(3)]
            await events.aclose()  # type: ignore[attr-defined]
        return found

    digits, found, _ = asyncio.run(follow(api_url=site.url, key=KEY))
    assert found.event == published.ProjectCreated(name="Ünï" * 400_000)
    assert (found.position, found.actor) == (digits.position + 1, "Zoë")
    _, without, after = asyncio.run(follow())
    assert without.event == Unknown("project.created", 1, {})
    assert without.attributes["dataref"] == f"/api/v1/events/{found.position}/data"
    assert after.position == without.position + 1
    with pytest.raises(Refused, match="malformed or incomplete"):
        asyncio.run(follow(api_url=site.url, key="none"))


@contextmanager
def answering(answers: list[Answer]) -> Iterator[tuple[str, list[Any]]]:
    """A server that gives these answers in turn; its address, and the requests that it got."""
    requests: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append((self.path, dict(self.headers)))
            status, headers, body = answers.pop(0)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            kind = "application/json" if status == 200 else "application/problem+json"
            self.send_header("Content-Type", kind)
            self.send_header("Stemma-API-Version", "1")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            """Nothing: what was asked is in `requests`."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", requests
        finally:
            server.shutdown()
            thread.join()


def test_it_tries_again_where_that_helps_and_shows_its_key() -> None:
    at_once = {"Retry-After": "0"}
    answers: list[Answer] = [
        (503, at_once, {}),
        (429, at_once, {}),
        (200, {}, {"items": [], "next": 7, "position": 9}),
        (403, {}, {"title": "x", "status": 403, "detail": "this key may not read"}),
    ]
    with (
        answering(answers) as (url, requests),
        pytest.raises(Forbidden, match="this key may not read"),
    ):
        next(follow_http(url, after=3, key="stm_secret"))
    assert [re.findall(r"after=(\d+)", path)[0] for path, _ in requests] == ["3", "3", "3", "7"]
    assert {headers["Authorization"] for _, headers in requests} == {"Bearer stm_secret"}


def test_the_command_shows_events(site: Scene) -> None:
    project, before = begun(site, renamings=1)
    arguments = ["events", "follow", "--after", str(before), "--count", "2"]
    environment = site.environment | {"STEMMA_DATA": str(site.settings.data)}
    plain = CliRunner().invoke(main, arguments, env=environment)
    assert plain.output.splitlines() == [
        f"{before + 1} project.created project-{project} administrator",
        f"{before + 2} project.renamed project-{project} test",
    ]
    whole = CliRunner().invoke(main, [*arguments, "--json"], env=environment)
    shown = [json.loads(line) for line in whole.output.splitlines()]
    page = site.http.get("/api/v1/events", params={"after": before, "limit": 2}).json()
    assert shown == page["items"]
    wrong = CliRunner().invoke(main, ["events", "follow", "--name", "nonsense"], env=environment)
    assert wrong.exit_code == 1
    assert wrong.output.startswith("Error: ")
