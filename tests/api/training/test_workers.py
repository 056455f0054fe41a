"""The workers as the API sees them on NATS, and what it says when NATS is away."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig

from adapters.nats.jetstream import JOBS, WORKERS_BUCKET, ensure_streams, job_subject
from adapters.servers.nats import EmbeddedNats
from domain.training.messages import Presence
from tests.adapters.running import kill, with_js
from tests.api.conftest import serving, settings_at
from tests.api.scene import Scene
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
            presence = Presence(name, "cuda", version_id, SINCE)
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
    assert "No worker is there" in server.http.get("/workers").text
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
    assert "2 waiting, 1 in work" in page
    assert page.index("a-busy") < page.index("b-idle")
    assert page.count("about ") == 2, "the time left, of the worker and of its version"
    first = server.http.get("/api/v1/workers", params={"limit": 1}).json()
    rest = server.http.get("/api/v1/workers", params={"cursor": first["next"]}).json()
    assert [one["version"]["version_id"] for one in rest["versions"]] == [waiting]


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
