"""nats-server after a full disk: it refuses messages until it is started again."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import nats
import pytest
from nats.js.api import StreamConfig
from nats.js.client import JetStreamContext

from adapters.processes.supervisor import Supervisor
from adapters.servers.nats import EmbeddedNats
from tests.adapters.processes.test_supervisor import tick_until
from tests.small_disk import SmallDisk, small_disk

MESSAGE = bytes(100_000)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, 24) as disk:
        yield disk


def published(server: EmbeddedNats, count: int = 1) -> int:
    """Publish some messages; returns how many were stored."""

    async def publish() -> int:
        client = await nats.connect(server.url)
        js: JetStreamContext = client.jetstream()
        try:
            await js.add_stream(StreamConfig(name="REPORTS", subjects=["reports"]))
            for number in range(count):
                try:
                    await js.publish("reports", MESSAGE, timeout=0.5)
                except nats.errors.Error:
                    return number
            return count
        finally:
            await client.close()

    return asyncio.run(publish())


def test_nats_is_restarted_once_there_is_room_again(disk: SmallDisk, tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(tmp_path, said.append)
    server = EmbeddedNats(disk.folder)
    supervisor.add_server(server)
    supervisor.start()
    try:
        assert published(server, 3) == 3
        assert server.stuck() is None
        disk.fill()
        published(server, 20)
        assert published(server) == 0
        assert server.stuck() is None, "a restart does not help while the disk is full"
        disk.free()
        assert published(server) == 0
        pid = server.pid
        tick_until(supervisor, lambda: server.alive() and server.pid != pid)
        assert published(server) == 1
        assert server.stuck() is None
    finally:
        supervisor.stop()
    was_stuck, restarted = said
    assert was_stuck.startswith("nats was stuck (JetStream stream 'STEMMA > REPORTS' write error")
    assert restarted.startswith("nats restarted")


def test_a_server_that_was_started_on_an_almost_full_disk_takes_messages_once_there_is_room(
    disk: SmallDisk,
) -> None:
    with EmbeddedNats(disk.folder) as server:
        assert published(server) == 1
    disk.fill(leave=500_000)
    with EmbeddedNats(disk.folder) as server:
        disk.free()
        assert published(server, 20) == 20


def test_the_health_of_the_server_is_for_the_supervisor_only(private_nats: EmbeddedNats) -> None:
    """The system account would show who is connected, and could shut the server down."""

    async def ask(subject: str) -> bytes:
        url = private_nats.url.replace("stemma:", "system:")
        client = await nats.connect(url, inbox_prefix="_INBOX", error_cb=ignore)
        try:
            subscription = await client.subscribe("_INBOX.health")
            await client.publish(subject, reply="_INBOX.health")
            return (await subscription.next_msg(timeout=1)).data
        finally:
            await client.close()

    assert b'"status":"ok"' in asyncio.run(ask("$SYS.REQ.SERVER.PING.HEALTHZ"))
    for subject in ("$SYS.REQ.SERVER.PING.CONNZ", "$SYS.REQ.ACCOUNT.STEMMA.INFO"):
        with pytest.raises(nats.errors.TimeoutError):
            asyncio.run(ask(subject))


async def ignore(_: Exception) -> None:
    """The answer that does not come is what the test looks at."""
