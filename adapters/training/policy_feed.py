"""Policies that follow the log: jobs are sent to JOBS, desired states to the `control` bucket."""

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
from adapters.postgres.log_growth import log_growth
from adapters.postgres.reactions import React, react_to_all
from adapters.settings import Settings
from adapters.training.control import put_desired_state
from adapters.training.job_key import job_tokens
from application.log.store import Store
from application.training import control, policies
from application.training.job_tokens import JobTokens
from domain.trace_context import span_id_of, traceparent
from domain.training.jobs import AnyJob, TrainerJob, purpose_of
from domain.training.messages import DesiredState


class StreamReplaced(Exception):
    """The stream was replaced by a new one: restart, for that one."""


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
        publisher = _Publisher(
            js, settings.queue, tokens, asyncio.get_running_loop(), settings.ack_wait_seconds
        )
        effects = policies.Effects(
            partial(put_manifest, blobs), publisher.dispatch, publisher.open_queue
        )
        follow = partial(_follow, store, js, stop)
        # In parallel: a desired state does not wait until a large dataset has been frozen.
        jobs = partial(policies.react, store, effects)
        desired_states = partial(control.react, store, publisher.publish)
        await run_together(
            follow(JOBS, "policies", policies.REACTS_TO, jobs),
            follow(CONTROL_STREAM, "control", control.REACTS_TO, desired_states),
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
    """React as the log grows. A recreated stream has lost its messages: for it, the whole log is
    processed again."""
    incarnation = await stream_incarnation(js, stream)
    wakes = log_growth(store.database_url, stop, reacts_to)
    while await asyncio.to_thread(next, wakes, False) is None:
        await asyncio.to_thread(react_to_all, store, f"{name} for {incarnation}", reacts_to, react)
        if await stream_incarnation(js, stream) != incarnation:
            raise StreamReplaced(f"stream {stream} was recreated while it was in use")


def put_manifest(blobs: BlobStore, lines: Iterable[bytes]) -> str:
    """Store a manifest's canonical lines compressed, and return the sha256 of the lines."""
    digest, _ = blobs.put_compressed(lines)
    blobs.flush()
    return digest


class _Publisher:
    """Publishes to NATS from a thread, through the event loop that owns the connection.

    A publish that NATS refuses raises: the reaction is then repeated, once the stream exists.
    """

    def __init__(
        self,
        js: JetStreamContext,
        queue: str,
        tokens: JobTokens,
        loop: asyncio.AbstractEventLoop,
        ack_wait: float,
    ) -> None:
        self._js = js
        self._tokens = tokens
        self._queue, self._ack_wait = queue, ack_wait
        self._loop = loop

    def dispatch(self, job: AnyJob) -> None:
        token = self._tokens.of(job.version_id, job.attempt, job.correlation_id, purpose_of(job))
        payload = msgspec.json.encode(msgspec.structs.replace(job, token=token))
        headers = {
            "Nats-Msg-Id": job.message_id,
            "traceparent": traceparent(job.correlation_id, job.message_id),
        }
        own = span_id_of(job.message_id)
        with tracing.span("send job", job.correlation_id, own=own, kind="producer"):
            self._wait(self._js.publish(self._subject(job), payload, timeout=5, headers=headers))

    def _subject(self, job: AnyJob) -> str:
        """A trainer's jobs have a queue of their own: no other worker could carry them out."""
        return job_subject(job.queue if isinstance(job, TrainerJob) else self._queue)

    def open_queue(self, queue: str) -> None:
        self._wait(ensure_job_consumer(self._js, queue, self._ack_wait))

    def publish(self, version_id: str, desired_state: DesiredState) -> None:
        self._wait(put_desired_state(self._js, version_id, desired_state))

    def _wait(self, work: Coroutine[Any, Any, Any]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()
