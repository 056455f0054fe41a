"""The log followed for `application.policies`: blobs are stored and jobs go out on JOBS."""

import asyncio
import threading
from collections.abc import Iterable
from functools import partial

import msgspec
from nats.js import JetStreamContext

from adapters.blobs import BlobStore
from adapters.jetstream import (
    JOBS,
    birth_of,
    connect,
    ensure_streams,
    job_subject,
    run_until_stopped,
)
from adapters.postgres import wake_ups
from application.policies import REACTS_TO, Effects, react
from application.store import CHANNEL, AppendRefused, Store
from domain.messages import TrainJob


class QueueReplaced(Exception):
    """The job queue is not the one that it was: begin again, for the new one."""


def run_policies(
    store: Store, blobs: BlobStore, nats_url: str, queue: str, stop: threading.Event
) -> None:
    """React to events until `stop` is set."""
    run_until_stopped(_run(store, blobs, nats_url, queue, stop), stop)


async def _run(
    store: Store, blobs: BlobStore, nats_url: str, queue: str, stop: threading.Event
) -> None:
    client = await connect(nats_url, "stemma policies")
    try:
        js = client.jetstream()
        await ensure_streams(js)
        # A job stream made anew has lost its jobs: all of the log is gone through again for it.
        birth = await birth_of(js, JOBS)
        dispatch = _Dispatch(js, queue, asyncio.get_running_loop())
        effects = Effects(partial(put_manifest, blobs), dispatch)
        wakes = wake_ups(store.database_url, CHANNEL, stop)
        while await asyncio.to_thread(next, wakes, False) is None:
            await asyncio.to_thread(react_to_all, store, effects, f"policies for {birth}")
            if await birth_of(js, JOBS) != birth:
                raise QueueReplaced(f"stream {JOBS} was made anew while it was in use")
    finally:
        await client.close()


def put_manifest(blobs: BlobStore, lines: Iterable[bytes]) -> str:
    """Store a manifest's canonical lines packed, and return the sha256 of the lines."""
    digest, _ = blobs.put_compressed(lines)
    blobs.flush()
    return digest


def react_to_all(store: Store, effects: Effects, feed: str) -> None:
    """React to every event since the feed's position, which moves once a reaction is complete."""
    position = store.tracked(feed)
    while True:
        head = store.head()
        page = store.read(position, upto=head, names=REACTS_TO)
        for recorded in page:
            react(store, effects, recorded)
            if not _move(store, feed, recorded.position):
                return
            position = recorded.position
        if not page:
            if head > position:
                _move(store, feed, head)
            return


def _move(store: Store, feed: str, position: int) -> bool:
    try:
        store.append([], tracking=(feed, position))
    except AppendRefused:
        return False  # another process reacts too; begin again at its position
    return True


class _Dispatch:
    """Publishes a job from a worker thread, through the event loop that owns the connection.

    A job that the queue does not take raises: the reaction is repeated, on a queue that is there.
    """

    def __init__(self, js: JetStreamContext, queue: str, loop: asyncio.AbstractEventLoop) -> None:
        self._js = js
        self._subject = job_subject(queue)
        self._loop = loop

    def __call__(self, job: TrainJob) -> None:
        payload = msgspec.json.encode(job)
        headers = {"Nats-Msg-Id": job.message_id}
        published = self._js.publish(self._subject, payload, timeout=5, headers=headers)
        asyncio.run_coroutine_threadsafe(published, self._loop).result()
