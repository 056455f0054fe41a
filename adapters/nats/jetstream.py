"""NATS JetStream: the connection, the streams and their subjects, and publishing with acks."""

import asyncio
import contextlib
import logging
import re
import threading
from collections.abc import Coroutine, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import nats
from nats.aio.client import Client
from nats.errors import TimeoutError as NatsTimeout
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DiscardPolicy,
    KeyValueConfig,
    PubAck,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import NotFoundError

from adapters.nats.login import NatsLogin

EVENTS, JOBS, REPORTS = "EVENTS", "JOBS", "REPORTS"
EVERY_EVENT = "stemma.events.>"
EVENTS_KEPT = 250_000
"""The newest events that a new EVENTS stream keeps; older ones are read over HTTP. The server holds
some 0.7 kB of memory for each, as nearly each has a subject of its own."""
CHECKPOINTS, CHECKPOINT_SUBJECT = "CHECKPOINTS", "stemma.checkpoints"
WORKERS_BUCKET, CONTROL_BUCKET = "workers", "control"
WORKERS_STREAM, CONTROL_STREAM = f"KV_{WORKERS_BUCKET}", f"KV_{CONTROL_BUCKET}"
DOMAIN = "stemma"
"""The JetStream domain of guest accounts: `client.jetstream(domain=DOMAIN)`."""
WORKER_TTL_SECONDS = 30
STOP_GRACE_SECONDS = 3.0
_CANCEL_AGAIN_SECONDS = 0.2
_PLAIN_TOKEN = re.compile("[A-Za-z0-9_-]+").fullmatch

log = logging.getLogger(__name__)


def job_subject(queue: str) -> str:
    return f"stemma.jobs.train.{queue}"


def job_consumer(queue: str) -> str:
    """The consumer of JOBS that all workers of a queue share."""
    return f"worker-{queue}"


def report_subject(worker: str, version_id: str) -> str:
    return f"stemma.reports.{worker}.{version_id}"


def reporting_worker(subject: str) -> str | None:
    """The worker that may publish on a subject; None for `stemma.reports.<version>`, the subject of
    an older Stemma, on which every worker could."""
    tokens = subject.split(".")
    return tokens[2] if len(tokens) == 4 else None


def event_subject(event_name: str, entity_id: str, project: str | None, view: str | None) -> str:
    """`view.concept_added` of view 7 in project 3: `stemma.events.view.concept_added.7.3.7`.

    A hyphen replaces a missing project or view.
    """
    scope = ".".join(map(_token, (entity_id, project or "-", view or "-")))
    return f"stemma.events.{event_name}.{scope}"


def _token(text: str) -> str:
    """A text as one token of a subject; other characters, also full stops, are percent-encoded."""
    return text if _PLAIN_TOKEN(text) else quote(text, safe="").replace(".", "%2E")


async def connect(server: NatsLogin | str, name: str) -> Client:
    """Connect, and reconnect as often as needed while the process runs."""

    async def report_error(error: Exception) -> None:
        log.warning("NATS: %s", error or type(error).__name__)

    login = NatsLogin(server) if isinstance(server, str) else server
    return await nats.connect(
        login.url,
        name=name,
        error_cb=report_error,
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.5,
        connect_timeout=5,
        allow_reconnect=True,
        **login.options(),
    )


def jetstream(client: Client, seed: str) -> JetStreamContext:
    """The JetStream context of a guest account, or, without a seed, of the default account."""
    return client.jetstream(domain=DOMAIN if seed else None)


async def end_tasks(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel tasks until they have ended, and ignore their results.

    One cancellation is not enough: nats-py drops it during a flush, and `asyncio.wait_for` of
    Python 3.11 drops it if a result arrives at the same time.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_SECONDS)
    for task in tasks:
        task.cancelled() or task.exception()


async def run_together(*works: Coroutine[Any, Any, None]) -> None:
    """Run coroutines concurrently. If one raises, end the others and raise its exception.

    Not a `TaskGroup`, which cancels once and waits forever if the cancellation is dropped.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        await end_tasks(*tasks)
    for task in done:
        task.result()


def run_until_stopped(work: Coroutine[None, None, None], stop: threading.Event) -> None:
    """Run a coroutine to its end, and cancel it if it does not end soon after `stop` is set.

    A client that waits for its server to return would not end by itself.
    """

    async def watched() -> None:
        task = asyncio.ensure_future(work)
        while not task.done() and not stop.is_set():
            await asyncio.wait({task}, timeout=0.2)
        done, _ = await asyncio.wait({task}, timeout=STOP_GRACE_SECONDS)
        if not done:
            await end_tasks(task)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(watched())


_STREAMS = (
    StreamConfig(
        name=EVENTS,
        subjects=[EVERY_EVENT],
        storage=StorageType.FILE,
        allow_atomic=True,
        allow_direct=True,
        deny_delete=True,
        deny_purge=True,
        max_msgs=EVENTS_KEPT,
        duplicate_window=timedelta(minutes=10).total_seconds(),
    ),
    StreamConfig(
        name=JOBS,
        subjects=["stemma.jobs.>"],
        storage=StorageType.FILE,
        retention=RetentionPolicy.WORK_QUEUE,
        duplicate_window=timedelta(days=1).total_seconds(),
    ),
    StreamConfig(
        name=REPORTS,
        subjects=["stemma.reports.>"],
        storage=StorageType.FILE,
        deny_delete=True,
        deny_purge=True,
        max_age=timedelta(days=30).total_seconds(),
        duplicate_window=timedelta(hours=1).total_seconds(),
    ),
    StreamConfig(
        name=CHECKPOINTS,
        # A wildcard: a user who may create consumers can have one deliver to a literal subject that
        # has a subscription, and a stream with a literal subject subscribes to it.
        subjects=["stemma.*"],
        storage=StorageType.FILE,
        allow_direct=True,
        deny_delete=True,
        deny_purge=True,
        duplicate_window=timedelta(minutes=10).total_seconds(),
    ),
    # A bucket without roll-ups: with them, one worker could delete the keys of all others.
    StreamConfig(
        name=WORKERS_STREAM,
        subjects=[f"$KV.{WORKERS_BUCKET}.>"],
        storage=StorageType.FILE,
        max_msgs_per_subject=1,
        max_age=WORKER_TTL_SECONDS,
        duplicate_window=WORKER_TTL_SECONDS,
        discard=DiscardPolicy.NEW,
        deny_delete=True,
        allow_rollup_hdrs=False,
    ),
)

# A desired state has no TTL: a job may be queued for any length of time.
_CONTROL = KeyValueConfig(bucket=CONTROL_BUCKET, storage=StorageType.FILE)

STREAM_NAMES = (*(str(config.name) for config in _STREAMS), CONTROL_STREAM)


class StreamOutdated(Exception):
    """A stream has the configuration of an older Stemma, and this process may not change it."""


async def ensure_streams(js: JetStreamContext) -> None:
    """Create missing streams and buckets. Of existing ones, only required settings are updated.

    Raises `StreamOutdated`.
    """
    for config in _STREAMS:
        try:
            info = await js.stream_info(str(config.name))
        except NotFoundError:
            await js.add_stream(config)
        else:
            await _update(js, info.config, config)
    try:
        await js.key_value(CONTROL_BUCKET)
    except NotFoundError:
        await js.create_key_value(_CONTROL)


async def make_streams(login: NatsLogin) -> None:
    """Create and update streams on a connection of its own: for the operator, who may do both."""
    client = await connect(login, "stemma operator")
    try:
        await ensure_streams(client.jetstream())
    finally:
        await client.close()


async def _update(js: JetStreamContext, current: StreamConfig, expected: StreamConfig) -> None:
    required = {
        "subjects": expected.subjects,
        "allow_rollup_hdrs": bool(expected.allow_rollup_hdrs),
    }
    if {name: getattr(current, name) for name in required} == required:
        return
    try:
        await js.update_stream(current.evolve(**required))
    except NatsTimeout as error:
        raise StreamOutdated(
            f"stream {current.name} must be changed to {required}, and only the operator may do"
            " that: run"
            " `stemma nats streams` with the operator's seed"
        ) from error


async def ensure_job_consumer(js: JetStreamContext, queue: str, ack_wait: float) -> None:
    """Create the pull consumer of a queue's workers, or update its ack wait."""
    config = ConsumerConfig(
        name=job_consumer(queue),
        durable_name=job_consumer(queue),
        filter_subject=job_subject(queue),
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ack_wait,
        max_deliver=-1,
        max_ack_pending=1000,
    )
    await js.add_consumer(JOBS, config)


async def publish(
    js: JetStreamContext,
    subject: str,
    payload: bytes,
    *,
    message_id: str,
    headers: Mapping[str, str] | None = None,
) -> PubAck:
    """Publish, and await the stream's ack; the id makes a repetition idempotent.

    Raises a NATS error, `TimeoutError` or `OSError` if the message may not be stored.
    """
    sent = {"Nats-Msg-Id": message_id, **(headers or {})}
    return await js.publish(subject, payload, timeout=5, headers=sent)


async def stream_incarnation(js: JetStreamContext, stream: str) -> str:
    """A stream's name and creation time: they distinguish it from one recreated after a loss."""
    created = (await js.stream_info(stream)).created
    return f"{stream} of {created.isoformat() if created else 'unknown birth'}"
