"""Parts of the backend run in a test's own process, and what NATS streams hold."""

import asyncio
import os
import signal
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import nats
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from adapters.parts import run_parts
from adapters.processes.processes import wait_until
from adapters.servers.embedded import EmbeddedServer
from adapters.settings import Settings
from tests.servers import Database
from tests.waiting import HANG_SECONDS

Result = TypeVar("Result")


def settings_for(database: Database, nats_url: str, blobs: Path | None = None) -> Settings:
    return Settings(
        data=Path(tempfile.gettempdir()),
        database_url=database.app_url,
        nats_url=nats_url,
        blobs_url=f"file://{blobs}" if blobs else None,
    )


@contextmanager
def running(settings: Settings, *names: str) -> Iterator[None]:
    """Parts as `stemma up` runs them: one that fails begins again by itself."""
    stop = threading.Event()
    parts = threading.Thread(target=run_parts, args=(names, settings, stop), daemon=True)
    parts.start()
    try:
        yield
    finally:
        stop.set()
        parts.join(HANG_SECONDS)
    assert not parts.is_alive(), f"{names} did not stop"


def eventually(condition: Callable[[], bool], seconds: float = HANG_SECONDS) -> None:
    assert wait_until(condition, seconds), "it did not come true in time"


def kill(server: EmbeddedServer) -> None:
    """As if the machine had run out of memory."""
    assert server.pid
    os.kill(server.pid, signal.SIGKILL)
    eventually(lambda: not server.alive())


def with_js(url: str, use: Callable[[JetStreamContext], Awaitable[Result]]) -> Result:
    """Use JetStream through a connection of the test's own."""

    async def connected() -> Result:
        client = await nats.connect(url)
        try:
            return await use(client.jetstream())
        finally:
            await client.close()

    return asyncio.run(connected())


async def messages(js: JetStreamContext, stream: str) -> list[Msg]:
    """All that a stream holds, in its order."""
    held = (await js.stream_info(stream)).state.messages
    subscription = await js.subscribe(">", stream=stream, ordered_consumer=True)
    found = [await subscription.next_msg(timeout=HANG_SECONDS) for _ in range(held)]
    await subscription.unsubscribe()
    return found
