"""The relay: every event of the log onto the EVENTS stream, in order, once.

The stream itself says how far it is: its last message carries the position of its event. Each
batch names the message that it must follow, so of two relays one is refused.
"""

import asyncio
import json
import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg, StreamConfig, StreamInfo
from nats.js.errors import NotFoundError

from adapters.nats.jetstream import (
    EVENTS,
    EVERY_EVENT,
    connect,
    end_tasks,
    ensure_streams,
    run_until_stopped,
)
from adapters.nats.login import NatsLogin, nats_login
from adapters.observability.event_spans import passed_on
from adapters.postgres.log_growth import log_growth
from adapters.settings import Settings
from adapters.subscriptions.event_batches import PAGE, Batch, Message, Reached, batches
from application.log.store import AppendRefused, Store
from application.scopes import Scopes
from domain.event import Recorded

LOOK_SECONDS = 1.0
"""After so long the stream is looked at again, and a relay that stands by may take over."""

COMMIT_SECONDS = 10.0

STREAMS = 20_000
"""Streams whose project and view are kept in memory."""

log = logging.getLogger(__name__)


class StreamAhead(Exception):
    """The stream holds an event that the log does not: the log was restored from an older copy."""


class NotFromTheLog(Exception):
    """The stream ends with a message that no relay published."""


class PublishRefused(Exception):
    """The stream did not take a batch: another relay was first, or the server is not well."""


def run_relay(settings: Settings, store: Store, stop: threading.Event) -> None:
    """Publish what the log has and the stream lacks, and go on as the log grows."""
    run_until_stopped(_run(store, nats_login(settings), stop), stop)


async def _run(store: Store, nats: NatsLogin, stop: threading.Event) -> None:
    client = await connect(nats, "stemma relay")
    try:
        js = client.jetstream()
        await ensure_streams(js)
        relay = Relay(store, js)
        wakes = log_growth(store.database_url, stop, poll=1.0)
        while await asyncio.to_thread(next, wakes, False) is None:
            try:
                await relay.catch_up()
            except PublishRefused as refused:
                log.warning("%s; this relay stands by", refused)
                await relay.stand_by(stop)
    finally:
        await client.close()


class Relay:
    """Follows one stream. What it remembers of it only saves looking: each batch makes sure."""

    def __init__(self, store: Store, js: JetStreamContext) -> None:
        self._store = store
        self._js = js
        self._client = js._nc  # the only way the library offers to a batch's unanswered messages
        self._scopes = Scopes(store, cached=STREAMS)
        self._reached: Reached | None = None
        self._looked = 0.0
        self._missing = 0

    async def catch_up(self) -> int:
        """Publish all that the stream lacks; return how many events that was.

        Raises `StreamAhead`, or `PublishRefused` where a batch was not taken.
        """
        try:
            if self._reached is None or time.monotonic() - self._looked > LOOK_SECONDS:
                self._reached = await self._look()
                self._looked = time.monotonic()
            return await self._publish_after(self._reached)
        except BaseException:
            self._reached = None
            raise

    async def stand_by(self, stop: threading.Event) -> None:
        """Return once the stream stands still although the log has gone on, or `stop` is set."""
        seen = None
        while not stop.is_set():
            latest = await last_published(self._js)
            head = await asyncio.to_thread(self._store.head)
            if latest == seen and latest.position < head:
                return
            seen = latest
            await asyncio.sleep(LOOK_SECONDS)

    async def _publish_after(self, reached: Reached) -> int:
        """Behind a full page, the next one is read and written out while the server has that."""
        published = 0
        page = await asyncio.to_thread(self._page_after, reached)
        while sum(len(batch.events) for batch in page) == PAGE:
            following = asyncio.ensure_future(asyncio.to_thread(self._page_after, page[-1].reached))
            try:
                published += await self._publish_each(page)
                page = await following
            finally:
                await end_tasks(following)
        return published + await self._publish_each(page)

    async def _publish_each(self, page: Sequence[Batch]) -> int:
        for batch in page:
            began = time.time_ns()
            await self._publish(batch)
            passed_on("relay", batch.events, began)
            self._reached = batch.reached
        return sum(len(batch.events) for batch in page)

    def _page_after(self, reached: Reached) -> list[Batch]:
        """Raises `StreamAhead` if what was reached is no longer what the log has there."""
        if not reached.position:
            page = self._store.read(0, limit=PAGE)
        else:
            page = self._store.read(reached.position - 1, limit=1 + PAGE)
            _check(reached, page[:1])
            del page[:1]
        return list(batches(page, self._scopes, reached, self._client.max_payload))

    async def _publish(self, batch: Batch) -> None:
        connection = self._client.stats["reconnects"]
        if batch.opening:
            await self._client._send_command(batch.opening)
        answers = [asyncio.ensure_future(self._answer(one)) for one in batch.answered]
        pending = set(answers)
        try:
            while pending:
                _, pending = await asyncio.wait(pending, timeout=0.1)
                broken = self._client.stats["reconnects"] != connection
                if broken or not self._client.is_connected:
                    raise PublishRefused("the connection to NATS broke in the middle of a batch")
            first = batch.reached.sequence + 1 - len(answers)
            for sequence, answer in enumerate((task.result() for task in answers), start=first):
                if "error" in answer:
                    raise PublishRefused(f"stream {EVENTS}: {answer['error'].get('description')}")
                if answer["seq"] != sequence:
                    raise PublishRefused(f"stream {EVENTS} was truncated during publishing")
        finally:
            await end_tasks(*answers)

    async def _answer(self, message: Message) -> dict[str, Any]:
        answer = await self._client.request(
            message.subject, message.payload, headers=message.headers, timeout=COMMIT_SECONDS
        )
        decoded: dict[str, Any] = json.loads(answer.data)
        return decoded

    async def _look(self) -> Reached:
        """Where the stream ends, checked against the log."""
        info = await self._js.stream_info(EVENTS)
        sequence, subject, position, event_id = await last_published(self._js)
        counted = surplus_of(info)
        tracked = await asyncio.to_thread(self._store.tracked, counted)
        last = max(info.state.last_seq, sequence)
        position = position if event_id else forgotten_up_to(info, tracked)
        surplus = last - position
        reached = Reached(sequence, subject, position, event_id, surplus)
        if position:
            event = await asyncio.to_thread(self._store.read, position - 1, limit=1, upto=position)
            _check(reached, event)
        if surplus > tracked:
            # For when all messages have expired, and no message has the last position.
            await asyncio.to_thread(self._remember, counted, surplus)
        self._report_holes(info, reached)
        return reached

    def _remember(self, counted: str, surplus: int) -> None:
        try:
            self._store.append([], tracking=(counted, surplus))
        except AppendRefused:
            log.info("another relay has read stream %s too", EVENTS)

    def _report_holes(self, info: StreamInfo, reached: Reached) -> None:
        if info.state.last_seq != reached.sequence:
            return
        deleted = info.state.num_deleted or 0
        missing = deleted if _forgets(info.config) else reached.position - info.state.messages
        if missing != self._missing and missing > 0:
            log.error(
                "stream %s lacks %d of the events up to position %d: delete the stream, and it is"
                " filled again from the log",
                EVENTS,
                missing,
                reached.position,
            )
        self._missing = missing


class Published(NamedTuple):
    """A stream's last message, and the position and id of the event in it."""

    sequence: int
    subject: str
    position: int
    event_id: str


async def last_published(js: JetStreamContext) -> Published:
    """Zeros and nothing for an empty stream. Raises `NotFromTheLog`."""
    message = await _last_message(js)
    if message is None:
        return Published(0, "", 0, "")
    headers = message.headers or {}
    try:
        position, event_id = int(headers["ce-sequence"]), headers["ce-id"]
    except (KeyError, ValueError) as error:
        raise NotFromTheLog(
            f"stream {EVENTS} ends with a message that is not an event of the log, at sequence"
            f" {message.seq}, subject {message.subject}: delete that message, or the stream"
        ) from error
    return Published(message.seq or 0, message.subject or "", position, event_id)


async def _last_message(js: JetStreamContext) -> RawStreamMsg | None:
    """By its sequence: to find the last of a wildcard the server looks at each of the subjects."""
    state = (await js.stream_info(EVENTS)).state
    if state.messages:
        with suppress(NotFoundError):
            return await js.get_msg(EVENTS, seq=state.last_seq)
        with suppress(NotFoundError):
            return await js.get_last_msg(EVENTS, EVERY_EVENT)
    return None


def surplus_of(info: StreamInfo) -> str:
    """What a stream's surplus, by which its sequences are above positions, is tracked as."""
    return f"surplus of {EVENTS} of {info.created}"


def forgotten_up_to(info: StreamInfo, surplus: int) -> int:
    """The position of the last event that an empty stream had: a limit of age may have emptied it,
    and else it was purged, and is to be filled again from the log's beginning."""
    return info.state.last_seq - surplus if (info.config.max_age or 0) > 0 else 0


def _check(reached: Reached, published: Sequence[Recorded]) -> None:
    """The event that was reached against the one that the log has at its position, if any."""
    if not published or reached.event_id not in {"", published[0].metadata.event_id}:
        raise StreamAhead(
            f"stream {EVENTS} ends with an event at position {reached.position} that the log does"
            " not have there: the database seems to be an older copy; restore the newer one, or"
            " delete the stream to refill it"
        )


def _forgets(config: StreamConfig) -> bool:
    """Whether the stream drops its oldest messages by itself."""
    limits: Sequence[float | None] = (config.max_age, config.max_msgs, config.max_bytes)
    return any((limit or 0) > 0 for limit in limits)
