"""NATS JetStream: the connection, the streams and their subjects, and acknowledged publishing."""

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
from nats.errors import Error as NatsError
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
CHECKPOINTS, CHECKPOINT_SUBJECT = "CHECKPOINTS", "stemma.checkpoints"
WORKERS_BUCKET, CONTROL_BUCKET = "workers", "control"
WORKERS_STREAM, CONTROL_STREAM = f"KV_{WORKERS_BUCKET}", f"KV_{CONTROL_BUCKET}"
DOMAIN = "stemma"
"""Where guests find JetStream: `client.jetstream(domain=DOMAIN)`."""
WORKER_TTL_SECONDS = 30
STOP_GRACE_SECONDS = 3.0
_CANCEL_AGAIN_SECONDS = 0.2
_PLAIN_TOKEN = re.compile("[A-Za-z0-9_-]+").fullmatch

log = logging.getLogger(__name__)


def job_subject(queue: str) -> str:
    return f"stemma.jobs.train.{queue}"


def job_consumer(queue: str) -> str:
    """The consumer of JOBS that the workers of a queue share."""
    return f"worker-{queue}"


def report_subject(worker: str, version_id: str) -> str:
    return f"stemma.reports.{worker}.{version_id}"


def reporting_worker(subject: str) -> str | None:
    """Who may publish there; None for `stemma.reports.<version>`, where anyone once did."""
    tokens = subject.split(".")
    return tokens[2] if len(tokens) == 4 else None


def event_subject(event_name: str, entity_id: str, project: str | None, view: str | None) -> str:
    """`view.concept_added` of view 7 in project 3: `stemma.events.view.concept_added.7.3.7`.

    A hyphen stands where there is no project or view.
    """
    where = ".".join(map(_token, (entity_id, project or "-", view or "-")))
    return f"stemma.events.{event_name}.{where}"


def _token(text: str) -> str:
    """A text as one token of a subject: percent-encoded, with the full stop too, if it is odd."""
    return text if _PLAIN_TOKEN(text) else quote(text, safe="").replace(".", "%2E")


async def connect(server: NatsLogin | str, name: str) -> Client:
    """Connect, and keep reconnecting for as long as the process lives."""

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
    """JetStream as a guest finds it; without a seed, on a server that knows no guests."""
    return client.jetstream(domain=DOMAIN if seed else None)


async def end_tasks(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel tasks until they have ended, and pass over how they did.

    Once is not enough: nats-py drops a cancellation that comes while it flushes, and Python 3.11's
    `asyncio.wait_for` one that comes just before an answer does.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_CANCEL_AGAIN_SECONDS)
    for task in tasks:
        task.cancelled() or task.exception()


async def run_together(*works: Coroutine[Any, Any, None]) -> None:
    """Run side by side. Where one raises, the others are ended, and it is raised.

    Not a `TaskGroup`: that cancels once, and waits for ever where the cancellation was dropped.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        await end_tasks(*tasks)
    for task in done:
        task.result()


def run_until_stopped(work: Coroutine[None, None, None], stop: threading.Event) -> None:
    """Run to the end, which is to come soon after `stop` is set; cancelled where it does not.

    A client that waits for its server to come back would wait on.
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
        # By a wildcard: whoever may create a consumer may have it deliver to a literal subject that
        # somebody listens to, and a stream that is told one does.
        subjects=["stemma.*"],
        storage=StorageType.FILE,
        allow_direct=True,
        deny_delete=True,
        deny_purge=True,
        duplicate_window=timedelta(minutes=10).total_seconds(),
    ),
    # A bucket without roll-ups, by which one worker could take away the keys of all.
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

# A wish is kept: a job may wait for longer than anyone would guess.
_CONTROL = KeyValueConfig(bucket=CONTROL_BUCKET, storage=StorageType.FILE)

STREAM_NAMES = (*(str(config.name) for config in _STREAMS), CONTROL_STREAM)


class StreamOutdated(Exception):
    """A stream is that of an older Stemma, and this process may not change it."""


async def ensure_streams(js: JetStreamContext) -> None:
    """Create what is missing; what exists is left as its operator set it, but for what must be.

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
    """The same, by a connection of its own: for the operator, who may also change a stream."""
    client = await connect(login, "stemma operator")
    try:
        await ensure_streams(client.jetstream())
    finally:
        await client.close()


async def _update(js: JetStreamContext, found: StreamConfig, wanted: StreamConfig) -> None:
    must = {
        "subjects": wanted.subjects,
        "allow_rollup_hdrs": bool(wanted.allow_rollup_hdrs),
    }
    if {name: getattr(found, name) for name in must} == must:
        return
    try:
        await js.update_stream(found.evolve(**must))
    except NatsTimeout as error:
        raise StreamOutdated(
            f"stream {found.name} must be brought to {must}, which only the operator may: run"
            " `stemma nats streams` with the operator's seed"
        ) from error


async def ensure_job_consumer(js: JetStreamContext, queue: str, ack_wait: float) -> None:
    """Create the consumer that a queue's workers pull on, or bring the one there to this wait."""
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
    """Publish until the stream acknowledges; the id makes the repeats of a retry one message."""
    sent = {"Nats-Msg-Id": message_id, **(headers or {})}
    while True:
        try:
            return await js.publish(subject, payload, timeout=5, headers=sent)
        except (NatsError, TimeoutError, OSError) as error:
            log.warning("publish to %s is repeated: %s", subject, error or type(error).__name__)
            await asyncio.sleep(0.5)


async def stream_incarnation(js: JetStreamContext, stream: str) -> str:
    """A stream's name and when it was made: what tells it from one made anew after a loss."""
    created = (await js.stream_info(stream)).created
    return f"{stream} of {created.isoformat() if created else 'unknown birth'}"
