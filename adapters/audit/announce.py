"""Publishing of signed checkpoints to the CHECKPOINTS stream of NATS, in the order of their ids.

Publishing continues after the stream's last message, so missed checkpoints follow and a new stream
is filled from the start.
"""

import asyncio
import logging
import threading

import psycopg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from adapters.audit.stored import StoredCheckpoint, checkpoints_after
from adapters.nats.jetstream import (
    CHECKPOINT_SUBJECT,
    CHECKPOINTS,
    connect,
    ensure_streams,
    run_until_stopped,
)
from adapters.nats.login import NatsLogin
from application.log.store import KEEPALIVE_OPTIONS

BATCH = 500
POLL_SECONDS, PAUSE_SECONDS = 10.0, 1.0
CHECKPOINT_ID = "Stemma-Checkpoint"

log = logging.getLogger(__name__)


def announce(url: str, nats: NatsLogin, signed: threading.Event, stop: threading.Event) -> None:
    """Publish checkpoints that the stream lacks, until `stop` is set.

    It does so whenever `signed` is set, and every `POLL_SECONDS`. Failures are retried.
    """
    while not stop.is_set():
        try:
            run_until_stopped(_run(url, nats, signed, stop), stop)
        except (NatsError, psycopg.OperationalError, TimeoutError, OSError) as error:
            log.warning("checkpoints cannot be published yet: %s", error or type(error).__name__)
            stop.wait(PAUSE_SECONDS)


async def _run(url: str, nats: NatsLogin, signed: threading.Event, stop: threading.Event) -> None:
    client = await connect(nats, "stemma checkpoints")
    try:
        js = client.jetstream()
        await ensure_streams(js)
        while not stop.is_set():
            await announce_once(url, js)
            await asyncio.to_thread(signed.wait, POLL_SECONDS)
            signed.clear()
    finally:
        await client.close()


async def announce_once(url: str, js: JetStreamContext) -> int:
    """Publish the checkpoints that the stream lacks, and return their number."""
    last, published = await _last_announced(js), 0
    while batch := await asyncio.to_thread(_read, url, last):
        for checkpoint in batch:
            headers = {
                "Nats-Msg-Id": f"{checkpoint.origin}/{checkpoint.checkpoint_id}",
                CHECKPOINT_ID: str(checkpoint.checkpoint_id),
            }
            note = checkpoint.note.encode()
            await js.publish(CHECKPOINT_SUBJECT, note, timeout=5, headers=headers)
        last = batch[-1].checkpoint_id
        published += len(batch)
    return published


def _read(url: str, after: int) -> list[StoredCheckpoint]:
    with psycopg.connect(url, **KEEPALIVE_OPTIONS) as connection:
        return checkpoints_after(connection, after, BATCH)


async def _last_announced(js: JetStreamContext) -> int:
    try:
        message = await js.get_last_msg(CHECKPOINTS, CHECKPOINT_SUBJECT)
    except NotFoundError:
        return 0
    return int((message.headers or {})[CHECKPOINT_ID])
