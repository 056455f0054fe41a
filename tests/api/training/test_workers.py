"""The workers as the API sees them on NATS, and what it says when NATS is away."""

import asyncio
import io
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from click.testing import CliRunner
from httpx_sse import connect_sse
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig
from rich.console import Console

from adapters.nats.jetstream import JOBS, WORKERS_BUCKET, ensure_streams, job_consumer, job_subject
from adapters.servers.nats import EmbeddedNats
from cli.client import ApiClient
from cli.main import main
from cli.training.demo_screen import watch
from domain.trainers.trainer import queue_of
from domain.training.messages import WorkerPresence
from tests.adapters.running import eventually, kill, with_js
from tests.api.conftest import serving, settings_at
from tests.api.people import People
from tests.api.scene import KEY, Scene
from tests.servers import Database

SINCE = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.fixture
def server(migrated: Database, tmp_path: Path, private_nats: EmbeddedNats) -> Iterator[Scene]:
    with serving(settings_at(migrated, tmp_path, nats_url=private_nats.url)) as scene:
        yield scene


def test_workers_with_what_they_train_and_what_waits(
    server: Scene, private_nats: EmbeddedNats
) -> None:
    _, view_id = server.trainable()
    running, waiting, ended = (server.version(view_id) for _ in range(3))
    server.begin(running)
    server.epoch(running, 1)
    server.post(f"/versions/{ended}/cancel", None)

    async def at_work(js: JetStreamContext) -> None:
        await ensure_streams(js)
        bucket = await js.key_value(WORKERS_BUCKET)
        for name, version_id in (("b-idle", None), ("a-busy", running)):
            presence = WorkerPresence(name, "cuda", version_id, SINCE)
            await bucket.put(name, msgspec.json.encode(presence))
        for _ in range(3):
            await js.publish(job_subject("default"), b"a job")
        config = ConsumerConfig(durable_name="worker-default", ack_policy=AckPolicy.EXPLICIT)
        await js.add_consumer(JOBS, config)
        taken = await js.pull_subscribe_bind("worker-default", stream=JOBS)
        await taken.fetch(1)

    server.visible()
    empty = server.http.get("/api/v1/workers").json()
    assert (empty["workers"], empty["waiting"], empty["in_work"]) == ([], 0, 0)
    page = server.http.get("/workers").text
    assert "No workers online" in page
    assert "a machine that reaches NATS and the API:" in page
    with_js(private_nats.url, at_work)
    told = server.http.get("/api/v1/workers").json()
    assert [(one["worker"], one["version_id"]) for one in told["workers"]] == [
        ("a-busy", running),
        ("b-idle", None),
    ]
    assert (told["waiting"], told["in_work"]) == (2, 1)
    assert [one["version"]["version_id"] for one in told["versions"]] == [running, waiting]
    assert told["versions"][0]["progress"]["seconds_left"] > 0
    page = server.http.get("/workers").text
    assert "2 queued, 1 running" in page
    assert page.index("a-busy") < page.index("b-idle")
    assert page.count("about ") == 2, "the time left, of the worker and of its version"
    first = server.http.get("/api/v1/workers", params={"limit": 1}).json()
    rest = server.http.get("/api/v1/workers", params={"cursor": first["next"]}).json()
    assert [one["version"]["version_id"] for one in rest["versions"]] == [waiting]


def is_online(private_nats: EmbeddedNats, *names: str) -> None:
    """Workers come, as their signs of life have it."""

    async def put(js: JetStreamContext) -> None:
        await ensure_streams(js)
        bucket = await js.key_value(WORKERS_BUCKET)
        for name in names:
            await bucket.put(name, msgspec.json.encode(WorkerPresence(name, "cpu", None, SINCE)))

    with_js(private_nats.url, put)


def waiting(client: httpx.Client, version_id: str) -> Any:
    return client.get(f"/api/v1/versions/{version_id}").raise_for_status().json()["waiting"]


def test_what_a_queued_version_waits_for(server: Scene, private_nats: EmbeddedNats) -> None:
    _, elsewhere = server.trainable("Of others")
    project_id, view_id = server.trainable()
    running, queued = server.version(elsewhere), server.version(view_id)
    server.begin(running)
    position = server.visible()
    _, viewer = People(server).join(("viewer", project_id))
    with viewer:
        assert viewer.get(f"/api/v1/versions/{running}").status_code == 404
        assert waiting(viewer, queued) == {
            "trainings_before": 1,
            "workers_online": 0,
            "trainer": None,
        }
    page = server.http.get(f"/versions/{queued}").text
    assert "Queued: 1 training before it, no workers online." in page
    assert "Start one with <code>stemma run worker</code>" in page
    is_online(private_nats, "one", "other")
    two = {"trainings_before": 1, "workers_online": 2, "trainer": None}
    eventually(lambda: waiting(server.http, queued) == two)
    kill(private_nats)
    unknown = {"trainings_before": 1, "workers_online": None, "trainer": None}
    eventually(lambda: waiting(server.http, queued) == unknown)
    assert "NATS does not answer" in server.http.get(f"/versions/{queued}").text
    assert waiting(server.http, running) is None
    server.begin(queued)
    server.visible()
    assert waiting(server.http, queued) is None
    then = {"as_of": position}
    past = server.http.get(f"/api/v1/versions/{queued}", params=then).json()
    assert (past["version"]["status"], past["waiting"]) == ("queued", None)
    assert "data-waiting>" not in server.http.get(f"/versions/{queued}", params=then).text


def test_what_it_waits_for_is_told_live(server: Scene, private_nats: EmbeddedNats) -> None:
    _, view_id = server.trainable()
    before, queued = server.version(view_id), server.version(view_id)
    server.visible()
    told = []
    with connect_sse(server.http, "GET", f"/api/v1/versions/{queued}/events") as source:
        for event in source.iter_sse():
            if event.event == "waiting":
                told.append(tuple(json.loads(event.data).values())[:2])
                match told[-1]:
                    case (1, 0):
                        is_online(private_nats, "one")
                    case (1, 1):
                        server.post(f"/versions/{before}/cancel", None)
                    case (0, 1):
                        server.post(f"/versions/{queued}/cancel", None)
    assert told == [(1, 0), (1, 1), (0, 1)]


@pytest.mark.parametrize("terminal", [True, False])
def test_what_it_waits_for_is_told_in_the_terminal(server: Scene, terminal: bool) -> None:
    _, view_id = server.trainable()
    _, queued = server.version(view_id), server.version(view_id)
    server.visible()
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=100)
    with ApiClient(server.url, KEY) as client:
        watching = threading.Thread(target=watch, args=(client, queued, console))
        watching.start()
        told = "Queued: 1 training before it, no workers online: start one with `stemma run worker`"
        eventually(lambda: told in screen.getvalue())
        server.begin(queued, epochs=1)
        server.epoch(queued, 1, of=1)
        server.finish(queued)
        watching.join()
    assert "ready" in screen.getvalue()


def test_an_absent_nats_is_said_and_found_again(server: Scene, private_nats: EmbeddedNats) -> None:
    _, view_id = server.trainable()
    version_id = server.version(view_id)
    server.visible()
    assert server.http.get("/api/v1/workers").status_code == 200
    kill(private_nats)
    refused = server.http.get("/api/v1/workers")
    assert (refused.status_code, "NATS does not answer" in refused.json()["detail"]) == (503, True)
    page = server.http.get("/workers")
    assert (page.status_code, "NATS does not answer" in page.text) == (200, True)
    assert version_id in page.text
    private_nats.start()
    assert server.http.get("/api/v1/workers").status_code == 200


def test_a_version_of_a_trainer_waits_for_workers_of_its_queue(
    server: Scene, private_nats: EmbeddedNats
) -> None:
    server.post("/trainers", {"name": "acme/own", "kinds": ["classification"]})
    _, view_id = server.trainable()
    body = {"trainer": "acme/own"}
    version_id = str(server.post(f"/views/{view_id}/versions", body)["id"])
    server.visible()
    is_online(private_nats, "of-the-default-queue")
    none = {"trainings_before": 0, "workers_online": 0, "trainer": "acme/own"}
    eventually(lambda: waiting(server.http, version_id) == none)
    page = server.http.get(f"/versions/{version_id}").text
    assert "no worker of acme/own is online." in page
    assert "Start one with <code>python YOUR_SCRIPT.py</code>" in page
    done = CliRunner().invoke(
        main, ["train", view_id, "--trainer", "acme/own"], env=server.environment
    )
    said = "no worker of acme/own is online; start it with `python YOUR_SCRIPT.py`"
    assert said in done.stderr
    estimates = f"/api/v1/views/{view_id}/versions/estimate"

    async def ask(js: JetStreamContext) -> None:
        config = ConsumerConfig(
            durable_name=job_consumer(queue_of("acme/own")), ack_policy=AckPolicy.EXPLICIT
        )
        await js.add_consumer(JOBS, config)
        bound = await js.pull_subscribe_bind(config.durable_name, stream=JOBS)
        asking = asyncio.create_task(bound.fetch(1, timeout=60))
        try:
            one = none | {"workers_online": 1}
            await asyncio.to_thread(eventually, lambda: waiting(server.http, version_id) == one)
            answer = server.http.get(estimates, params={"trainer": "acme/own"}).json()
            assert answer["workers_online"] == 1
        finally:
            asking.cancel()

    with_js(private_nats.url, ask)
