"""The consumer of docs/subscriber/nats.md, as it stands there, when its stream is purged and
deleted."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.js import JetStreamContext
from nats.js.api import StreamConfig

from adapters.nats.jetstream import EVENTS, EVERY_EVENT
from adapters.nats.roles import NatsRole
from adapters.servers.nats import EmbeddedNats
from application.log.store import Store
from domain.training.version import VersionRenamed
from tests.adapters.running import eventually, running, settings_for, with_js
from tests.application.scenes import recorded
from tests.servers import Database, server_folder

GUIDE = Path(__file__).parents[2] / "docs" / "subscriber" / "nats.md"


def example() -> str:
    [code] = re.findall(r"```python\n(import asyncio.*?nats.*?)```", GUIDE.read_text(), re.DOTALL)
    return str(code)


def rename(store: Store, count: int) -> None:
    first = len(store.streams(["version-1"])["version-1"]) + 1
    store.append(
        [
            recorded("version-1", revision, VersionRenamed(f"name {revision}"))
            for revision in range(first, first + count)
        ]
    )


async def make_purgeable(js: JetStreamContext) -> None:
    """The stream as the relay makes it, but for what an operator has to lift to purge it."""
    await js.add_stream(StreamConfig(name=EVENTS, subjects=[EVERY_EVENT], allow_atomic=True))


@pytest.fixture
def subscribed() -> Iterator[EmbeddedNats]:
    """A server with a subscriber of the name that the guide gives it."""
    with server_folder() as folder:
        server = EmbeddedNats(folder)
        server.access.add(NatsRole.SUBSCRIBER, "billing")
        with server:
            yield server


def test_the_documented_consumer_carries_on_after_a_purge_and_after_a_deletion(
    store: Store, subscribed: EmbeddedNats, migrated: Database, tmp_path: Path
) -> None:
    nats_url, seed = subscribed.url, subscribed.access.seed_file(NatsRole.SUBSCRIBER, "billing")
    (tmp_path / "follow.py").write_text(example())
    with_js(nats_url, make_purgeable)
    output = tmp_path / "output"

    def seen() -> list[int]:
        return [int(line.split()[0]) for line in output.read_text().splitlines()]

    with running(settings_for(migrated, nats_url), "relay"), output.open("w") as printed:
        rename(store, 3)
        process = subprocess.Popen(
            [sys.executable, "-I", "follow.py"],
            cwd=tmp_path,
            env=os.environ | {"STEMMA_NATS_URL": subscribed.address, "STEMMA_NATS_SEED": str(seed)},
            stdout=printed,
        )
        try:
            eventually(lambda: seen() == [1, 2, 3])
            with_js(nats_url, lambda js: js.purge_stream(EVENTS))
            rename(store, 2)
            eventually(lambda: seen() == [1, 2, 3, 4, 5])
            with_js(nats_url, lambda js: js.delete_stream(EVENTS))
            rename(store, 2)
            eventually(lambda: len(seen()) >= 7)
        finally:
            process.kill()
            process.wait()
    assert seen() == [1, 2, 3, 4, 5, 6, 7]
