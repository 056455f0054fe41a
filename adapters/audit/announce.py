"""Signed checkpoints onto the CHECKPOINTS stream of NATS, in the order of their making.

The stream's last message says how far it is, so that what it missed follows, and a stream that was
made anew is filled again.
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
from application.log.store import GIVES_UP

BATCH = 500
POLL_SECONDS, PAUSE_SECONDS = 10.0, 1.0
CHECKPOINT_ID = "Stemma-Checkpoint"

log = logging.getLogger(__name__)


def announce(url: str, nats: NatsLogin, signed: threading.Event, stop: threading.Event) -> None:
    """Publish what the database has and the stream lacks, whenever `signed` is set and now and then
    in any case. Whatever is in the way is tried again."""
    while not stop.is_set():
        try:
            run_until_stopped(_run(url, nats, signed, stop), stop)
        except (NatsError, psycopg.OperationalError, TimeoutError, OSError) as error:
            log.warning("checkpoints wait to be published: %s", error or type(error).__name__)
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
    """Publish all that the stream lacks; return how many checkpoints that was."""
    last, published = await _last_announced(js), 0
    while page := await asyncio.to_thread(_read, url, last):
        for one in page:
            headers = {
                "Nats-Msg-Id": f"{one.origin}/{one.checkpoint_id}",
                CHECKPOINT_ID: str(one.checkpoint_id),
            }
            await js.publish(CHECKPOINT_SUBJECT, one.note.encode(), timeout=5, headers=headers)
        last = page[-1].checkpoint_id
        published += len(page)
    return published


def _read(url: str, after: int) -> list[StoredCheckpoint]:
    with psycopg.connect(url, **GIVES_UP) as connection:
        return checkpoints_after(connection, after, BATCH)


async def _last_announced(js: JetStreamContext) -> int:
    try:
        message = await js.get_last_msg(CHECKPOINTS, CHECKPOINT_SUBJECT)
    except NotFoundError:
        return 0
    return int((message.headers or {})[CHECKPOINT_ID])
