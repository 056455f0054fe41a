"""One webhook served: its events in order, each sent again until it is taken."""

import asyncio
import logging
import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

import msgspec

from adapters.subscriptions.feed.feed_event import FeedEvent
from adapters.subscriptions.feed.tail import Tail
from adapters.subscriptions.feed.wanted import Wanted
from adapters.subscriptions.webhooks.pace import Pace
from adapters.subscriptions.webhooks.positions import DeliveryState, Positions
from adapters.subscriptions.webhooks.sending import DeliveryResult, Message, Sender
from application.access.access import Access
from application.handle import Request, handle
from application.log.store import Store
from application.webhooks import Endpoint, lost_authorization
from domain.access.account import account_id
from domain.aggregates import WEBHOOK
from domain.errors import NotFound, Stale
from domain.subscriptions.event_filter import matching
from domain.subscriptions.webhook import ACTIVE, REMOVED, ParkWebhook

ACTOR = "webhooks"
AT_ONCE = 100
"""Events that are taken from the log at once."""
SAVED_EVERY = 1.0
"""Seconds between two savings of a position that only passes over what is not wanted."""

log = logging.getLogger(__name__)


def wanted_by(endpoint: Endpoint) -> Wanted:
    """The events that a webhook asks for: by name if names are given, and so by project."""
    registered = endpoint.webhook.registered
    wanted = Wanted.named(matching(registered.names))
    return wanted.within(registered.project_id and {registered.project_id})


class Courier:
    """Serves one webhook, by itself: no other waits for it."""

    def __init__(
        self,
        endpoint: Endpoint,
        store: Store,
        access: Access,
        tail: Tail,
        positions: Positions,
        sender: Sender,
        pace: Pace,
    ) -> None:
        self._endpoint = endpoint
        self._store = store
        self._access = access
        self._tail = tail
        self._positions = positions
        self._sender = sender
        self._pace = pace
        self._changed = asyncio.Event()
        self._news = asyncio.Event()
        self._stopping = False
        self._saved_at = 0.0
        self._place = DeliveryState(0)

    def tell(self, endpoint: Endpoint) -> None:
        """The webhook has changed: what is under way is finished, then that counts."""
        self._endpoint = endpoint
        self._changed.set()
        self._news.set()

    def look_again(self, account: str) -> None:
        """The account with this id has changed: it may be the webhook's owner."""
        if account_id(self._endpoint.owner) == account:
            self.tell(self._endpoint)

    def wake(self) -> None:
        """The log may have grown."""
        self._news.set()

    def stop(self) -> None:
        """Finish what is under way, and send no more."""
        self._stopping = True
        self._changed.set()
        self._news.set()

    async def run(self) -> None:
        """Serve until stopped, or the webhook is removed."""
        async with self._sender:
            while not self._stopping and self._endpoint.webhook.state != REMOVED:
                self._changed.clear()
                if self._endpoint.webhook.state == ACTIVE:
                    await self._serve(self._endpoint)
                await self._changed.wait()

    async def _serve(self, endpoint: Endpoint) -> None:
        """Send what is wanted until something changes, or the receiver is given up."""
        reason = await asyncio.to_thread(lost_authorization, self._access, endpoint)
        if reason is not None:
            await asyncio.to_thread(self._park, endpoint, reason)
            return
        wanted = wanted_by(endpoint)
        self._place = await self._positions.begin(endpoint)
        position = self._place.position
        while not self._changed.is_set():
            self._news.clear()
            step = await self._tail.next(wanted, position, AT_ONCE)
            for event in step.events:
                if not await self._deliver(endpoint, event):
                    return
            position = step.reached
            await self._save(endpoint, position)
            if not step.more:
                await self._wait_for_news(position)

    async def _wait_for_news(self, position: int) -> None:
        """At most until a position that is not saved yet may be."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SAVED_EVERY if position > self._place.position else None):
                await self._news.wait()

    async def _save(self, endpoint: Endpoint, position: int) -> None:
        now = asyncio.get_running_loop().time()
        if position > self._place.position and now - self._saved_at >= SAVED_EVERY:
            await self._positions.passed(endpoint.webhook_id, position)
            self._place = msgspec.structs.replace(self._place, position=position)
            self._saved_at = now

    async def _deliver(self, endpoint: Endpoint, event: FeedEvent) -> bool:
        """Whether the event has arrived; if not, something has changed or the receiver is given
        up."""
        while not await self._changed_until(self._place.next_try_at):
            secrets = endpoint.webhook.secrets(datetime.now(UTC))
            answer = await self._send(endpoint, event, secrets)
            if answer.trouble is None:
                await self._positions.delivered(endpoint.webhook_id, event.position)
                self._place = DeliveryState(event.position)
                return True
            now = datetime.now(UTC)
            self._place = self._pace.after(self._place, answer, now)
            await self._positions.failed(endpoint.webhook_id, self._place)
            log.info(
                "webhook %s, event %d: %s", endpoint.webhook_id, event.position, answer.trouble
            )
            reason = self._pace.given_up(self._place, answer, now)
            if reason is not None:
                await asyncio.to_thread(self._park, endpoint, reason)
                return False
        return False

    async def _send(
        self, endpoint: Endpoint, event: FeedEvent, secrets: Sequence[str]
    ) -> DeliveryResult:
        try:
            message = Message(event.event_id, event.cloud_event)
            return await self._sender.send(endpoint.webhook.registered.url, message, secrets)
        except Exception as defect:
            # What is wrong with one webhook must not end the part, which serves them all.
            log.exception("webhook %s, event %d", endpoint.webhook_id, event.position)
            return DeliveryResult(
                f"internal server error ({type(defect).__name__}); its log has details"
            )

    async def _changed_until(self, moment: datetime | None) -> bool:
        """Whether something has changed, at the latest at the moment."""
        seconds = 0.0 if moment is None else (moment - datetime.now(UTC)).total_seconds()
        with suppress(TimeoutError):
            if seconds > 0:
                await asyncio.wait_for(self._changed.wait(), seconds)
        return self._changed.is_set()

    def _park(self, endpoint: Endpoint, reason: str) -> None:
        log.warning("webhook %s is parked: %s", endpoint.webhook_id, reason)
        command = str(uuid.uuid4())
        request = Request(
            actor=ACTOR,
            command_id=command,
            correlation_id=command,
            expected_revision=endpoint.revision,
        )
        # If somebody changes the webhook at this moment, that counts.
        with suppress(Stale, NotFound):
            handle(
                self._store,
                request,
                lambda session: session.change(WEBHOOK, endpoint.webhook_id, ParkWebhook(reason)),
            )
