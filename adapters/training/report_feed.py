"""Ingest of the REPORTS stream, in order, from the position that the log holds."""

import asyncio
import logging
import threading
import time

import msgspec
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NatsTimeout
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, DeliverPolicy

from adapters.blobs.uploaded import UploadedFiles
from adapters.nats.jetstream import (
    REPORTS,
    connect,
    ensure_streams,
    reporting_worker,
    run_until_stopped,
    stream_incarnation,
)
from adapters.nats.login import NatsLogin, nats_login
from adapters.observability import tracing
from adapters.postgres.postgres import engine_for
from adapters.settings import Settings
from adapters.training.job_key import job_tokens
from application.log.store import AppendRefused, Store
from application.training.ingest import Delivered, Ingest
from domain.trace_context import parse_traceparent, span_id_of
from domain.training.messages import Report

BATCH = 500
IDLE_SECONDS = 1.0

log = logging.getLogger(__name__)


def run_ingest(settings: Settings, store: Store, stop: threading.Event) -> None:
    """Ingest reports until `stop` is set."""
    run_until_stopped(_run(store, nats_login(settings), stop), stop)


async def _run(store: Store, nats: NatsLogin, stop: threading.Event) -> None:
    client = await connect(nats, "stemma ingest")
    try:
        js = client.jetstream()
        await ensure_streams(js)
        while not stop.is_set():
            await _follow(store, js, stop)
    finally:
        await client.close()


async def _follow(store: Store, js: JetStreamContext, stop: threading.Event) -> None:
    """Read the stream from the tracked sequence on, until it must be read again."""
    # A recreated stream counts its messages from 1 again: it is another feed.
    feed = await stream_incarnation(js, REPORTS)
    tokens = await asyncio.to_thread(job_tokens, store.database_url)
    uploaded = UploadedFiles(engine_for(store.database_url))
    ingest = Ingest(store, feed, tokens, uploaded.has)
    position = await asyncio.to_thread(ingest.position)
    start = ConsumerConfig(
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=position + 1
    )
    subscription = await js.subscribe(
        "stemma.reports.>", stream=REPORTS, ordered_consumer=True, config=start
    )
    try:
        while not stop.is_set():
            try:
                messages = [await subscription.next_msg(timeout=IDLE_SECONDS)]
            except NatsTimeout:
                state = (await js.stream_info(REPORTS)).state
                if state.last_seq > position or await stream_incarnation(js, REPORTS) != feed:
                    return
                continue
            waiting = min(subscription.pending_msgs, BATCH - 1)
            messages += [await subscription.next_msg(timeout=IDLE_SECONDS) for _ in range(waiting)]
            batch = [
                Delivered(m.metadata.sequence.stream, m.data, reporting_worker(m.subject))
                for m in messages
            ]
            if not await _follows(js, position, batch):
                log.info("reports after %d have a gap and are read again", position)
                return
            began = time.time_ns()
            try:
                await asyncio.to_thread(ingest.take, batch)
            except AppendRefused as error:
                log.info("reports after %d are ingested again: %s", position, error)
                return
            position = batch[-1].sequence
            _record_spans(messages, began)
    finally:
        await subscription.unsubscribe()


async def _follows(js: JetStreamContext, position: int, batch: list[Delivered]) -> bool:
    """Whether the batch continues `position`, except for messages that the stream has expired."""
    sequences = [delivered.sequence for delivered in batch]
    if sequences != list(range(sequences[0], sequences[0] + len(batch))):
        return False
    if sequences[0] == position + 1:
        return True
    first = (await js.stream_info(REPORTS)).state.first_seq
    return position < sequences[0] <= first


def _record_spans(messages: list[Msg], began: int) -> None:
    """Record a span for each report with a trace header, which all but metrics reports have."""
    if not tracing.on():
        return
    ended = time.time_ns()
    for message in messages:
        sender = parse_traceparent((message.headers or {}).get("traceparent", ""))
        own = _span_of(message) if sender is not None else None
        if sender is not None and own is not None:
            tracing.record(
                "ingest",
                sender.trace_id,
                began,
                ended,
                parent=sender.span_id,
                own=own,
                kind="consumer",
            )


def _span_of(message: Msg) -> str | None:
    """The id of a report's span, to which the events refer; None for an invalid report."""
    try:
        return span_id_of(msgspec.json.decode(message.data, type=Report).message_id)
    except msgspec.DecodeError:
        return None
