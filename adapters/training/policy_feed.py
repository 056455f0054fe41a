"""The log followed for what follows by itself: jobs go out on JOBS, wishes to `control`."""

import asyncio
import threading
from collections.abc import Coroutine, Iterable, Sequence
from functools import partial
from typing import Any

import msgspec
from nats.js import JetStreamContext

from adapters.blobs.blobs import BlobStore
from adapters.nats.jetstream import (
    CONTROL_STREAM,
    JOBS,
    connect,
    ensure_job_consumer,
    ensure_streams,
    job_subject,
    run_together,
    run_until_stopped,
    stream_incarnation,
)
from adapters.nats.login import nats_login
from adapters.observability import tracing
from adapters.postgres.postgres import wake_ups
from adapters.postgres.reactions import React, react_to_all
from adapters.settings import Settings
from adapters.training.control import put_wish
from adapters.training.job_key import job_tokens
from application.log.store import CHANNEL, Store
from application.training import control, policies
from application.training.job_tokens import JobTokens
from domain.trace_context import span_id_of, traceparent
from domain.training.messages import TrainJob, Wish


class StreamReplaced(Exception):
    """The stream written to is not the one that it was: begin again, for the new one."""


def run_policies(settings: Settings, store: Store, stop: threading.Event) -> None:
    """React to events until `stop` is set."""
    blobs = BlobStore.from_url(settings.require("blobs_url"))
    run_until_stopped(_run(settings, store, blobs, stop), stop)


async def _run(settings: Settings, store: Store, blobs: BlobStore, stop: threading.Event) -> None:
    client = await connect(nats_login(settings), "stemma policies")
    try:
        js = client.jetstream()
        await ensure_streams(js)
        await ensure_job_consumer(js, settings.queue, settings.ack_wait_seconds)
        tokens = await asyncio.to_thread(job_tokens, store.database_url)
        outside = _Outside(js, settings.queue, tokens, asyncio.get_running_loop())
        effects = policies.Effects(partial(put_manifest, blobs), outside.dispatch)
        follow = partial(_follow, store, js, stop)
        # Side by side: a wish does not wait until a large dataset has been frozen.
        jobs = partial(policies.react, store, effects)
        wishes = partial(control.react, store, outside.tell)
        await run_together(
            follow(JOBS, "policies", policies.REACTS_TO, jobs),
            follow(CONTROL_STREAM, "control", control.REACTS_TO, wishes),
        )
    finally:
        await client.close()


async def _follow(
    store: Store,
    js: JetStreamContext,
    stop: threading.Event,
    stream: str,
    name: str,
    reacts_to: Sequence[str],
    react: React,
) -> None:
    """React as the log grows. A stream made anew has lost what was sent: for it, all of the log
    is gone through again."""
    birth = await stream_incarnation(js, stream)
    wakes = wake_ups(store.database_url, CHANNEL, stop)
    while await asyncio.to_thread(next, wakes, False) is None:
        await asyncio.to_thread(react_to_all, store, f"{name} for {birth}", reacts_to, react)
        if await stream_incarnation(js, stream) != birth:
            raise StreamReplaced(f"stream {stream} was made anew while it was in use")


def put_manifest(blobs: BlobStore, lines: Iterable[bytes]) -> str:
    """Store a manifest's canonical lines packed, and return the sha256 of the lines."""
    digest, _ = blobs.put_compressed(lines)
    blobs.flush()
    return digest


class _Outside:
    """What reactions do on NATS, from a thread, through the event loop that owns the connection.

    What NATS does not take raises: the reaction is repeated, on a stream that is there.
    """

    def __init__(
        self,
        js: JetStreamContext,
        queue: str,
        tokens: JobTokens,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._js = js
        self._tokens = tokens
        self._subject = job_subject(queue)
        self._loop = loop

    def dispatch(self, job: TrainJob) -> None:
        token = self._tokens.of(job.version_id, job.attempt, job.correlation_id)
        payload = msgspec.json.encode(msgspec.structs.replace(job, token=token))
        headers = {
            "Nats-Msg-Id": job.message_id,
            "traceparent": traceparent(job.correlation_id, job.message_id),
        }
        own = span_id_of(job.message_id)
        with tracing.span("send job", job.correlation_id, own=own, kind="producer"):
            self._wait(self._js.publish(self._subject, payload, timeout=5, headers=headers))

    def tell(self, version_id: str, wish: Wish) -> None:
        self._wait(put_wish(self._js, version_id, wish))

    def _wait(self, work: Coroutine[Any, Any, Any]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()
