"""Any process may be killed at any instant: nothing is lost, doubled, or trained differently."""

import asyncio
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.nats.jetstream import EVENTS, connect
from adapters.nats.login import NatsLogin
from cli.client import ApiClient
from stemma_client import Stemma, operations
from tests.servers import server_folder
from tests.system.system import (
    RunningSystem,
    annotated_digits,
    events_of,
    eventually,
    facts_of,
    running_system,
)
from tests.waiting import HANG_SECONDS

OPTIONS = {"architecture": "mobilenet_v3_small", "width": 32, "height": 32, "epochs": 3, "seed": 3}
IMAGES = 300


class Digits:
    """A system with a dataset, and a version that was trained without interruption."""

    def __init__(self, system: RunningSystem) -> None:
        self.system = system
        with system.client() as client:
            self.view_id = annotated_digits(client, IMAGES)
            began = time.monotonic()
            self.undisturbed = finished(client, train(client, self.view_id))
            self.seconds = time.monotonic() - began


@pytest.fixture(scope="module")
def digits(initialised: Path) -> Iterator[Digits]:
    with (
        server_folder(initialised) as folder,
        running_system(Path(folder), separate=True) as system,
    ):
        yield Digits(system)


def train(client: ApiClient, view_id: str) -> str:
    answer = client.command(f"views/{view_id}/versions", {"options": OPTIONS})
    client.query(f"versions/{answer['id']}", at_least=answer["position"])
    return str(answer["id"])


def finished(client: ApiClient, version_id: str) -> dict[str, Any]:
    for _ in client.follow(f"versions/{version_id}/events"):
        pass
    version: dict[str, Any] = client.query(f"versions/{version_id}")["version"]
    return version


def test_a_worker_killed_at_a_random_point_changes_nothing(digits: Digits) -> None:
    moment = random.uniform(0, digits.seconds)
    print(f"the worker is killed after {moment:.2f} of {digits.seconds:.2f} s")
    with digits.system.client() as client:
        version_id = train(client, digits.view_id)
        killer = threading.Timer(moment, digits.system.kill, ["worker"])
        killer.start()
        version = finished(client, version_id)
        killer.join()
    assert_trained_as_undisturbed(digits, version)


def test_a_worker_is_given_neither_the_database_nor_the_blob_store(digits: Digits) -> None:
    worker = eventually(lambda: digits.system.pid("worker"), "the worker runs")
    environment = Path(f"/proc/{worker}/environ").read_text(encoding="utf-8")
    given = {entry.partition("=")[0] for entry in environment.split("\0")}
    assert "STEMMA_NATS_URL" in given
    assert not given & {"STEMMA_DATABASE_URL", "STEMMA_DATABASE_ADMIN_URL", "STEMMA_BLOBS_URL"}


@pytest.mark.parametrize("during", ["first", "second"])
def test_every_part_killed_in_turn_changes_nothing(digits: Digits, during: str) -> None:
    victims = ["child", "ingest", "worker", "nats", "project", "postgres"]
    if during == "second":
        victims = ["policies", "relay", "api", "nats", "worker", "postgres", "ingest"]
    with digits.system.client() as client:
        version_id = train(client, digits.view_id)
        with package_at_work(digits.system, version_id):
            for victim in victims:
                digits.system.kill(victim)
                client.query("status")
            version = finished(client, version_id)
    assert_trained_as_undisturbed(digits, version)


@contextmanager
def package_at_work(system: RunningSystem, version_id: str) -> Iterator[None]:
    """Waits for a version with the Python package, and meanwhile sends commands, each of which has
    one effect, and reads lists, which are whole."""
    runtime = system.runtime
    with Stemma(runtime.api_url, runtime.api_key, patience=HANG_SECONDS) as client:
        run = client.version(version_id)

        def write() -> list[str]:
            made: list[str] = []
            while not run.ended:
                made.append(client.projects.create(f"{version_id} {len(made)}").id)
                pages = client.pages(operations.list_projects(name=version_id, limit=10))
                listed = [row.project_id for page in pages for row in page.items]
                assert sorted(listed) == sorted(made)
            return made

        with ThreadPoolExecutor(2) as threads:
            written, waited = threads.submit(write), threads.submit(run.wait, HANG_SECONDS)
            yield
            assert waited.result().status == "ready"
            assert written.result()


def test_everything_killed_at_once_goes_on_after_the_next_start(digits: Digits) -> None:
    with digits.system.client() as client:
        version_id = train(client, digits.view_id)
        eventually(
            lambda: client.query(f"versions/{version_id}/progress")["progress"]["iterations_done"],
            "the first iterations are recorded",
        )
    digits.system.kill_everything()
    digits.system.start()
    with digits.system.client() as client:
        version = finished(client, version_id)
    assert_trained_as_undisturbed(digits, version)


def test_the_stream_and_the_read_models_agree_with_the_log_after_all_of_it(digits: Digits) -> None:
    runtime = digits.system.runtime
    with psycopg.connect(runtime.database_url) as connection:
        query = "SELECT position, event_id FROM log.events ORDER BY position"
        log = list(connection.execute(query))
    login = NatsLogin(runtime.nats_url, runtime.nats_seed)
    stream = eventually(
        lambda: _complete(asyncio.run(_published(login)), len(log)),
        "the relay has published all of the log",
    )
    assert stream == log
    checked = subprocess.run(
        [sys.executable, "-m", "cli.main", "audit", "replay"],
        env={"STEMMA_DATA": str(digits.system.data), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def assert_trained_as_undisturbed(digits: Digits, version: dict[str, Any]) -> None:
    """Ready, with the same weights, and each fact of the training recorded exactly once."""
    assert version["status"] == "ready", version["reason"]
    for same in ("manifest", "final_weights", "checkpoint", "indicator"):
        assert version[same] == digits.undisturbed[same], same
    runtime = digits.system.runtime
    disturbed = facts_of(events_of(runtime, version["version_id"]))
    assert disturbed == facts_of(events_of(runtime, digits.undisturbed["version_id"]))


async def _published(login: NatsLogin) -> list[tuple[int, str]]:
    client = await connect(login, "test")
    try:
        js = client.jetstream()
        total = (await js.stream_info(EVENTS)).state.messages
        subscription = await js.subscribe("stemma.events.>", stream=EVENTS, ordered_consumer=True)
        messages = [await subscription.next_msg(timeout=HANG_SECONDS) for _ in range(total)]
    finally:
        await client.close()
    headers = [message.headers or {} for message in messages]
    return [(int(one["ce-sequence"]), one["ce-id"]) for one in headers]


def _complete(stream: list[tuple[int, str]], length: int) -> list[tuple[int, str]] | None:
    return stream if len(stream) >= length else None
