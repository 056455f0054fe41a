"""The part `courier`: sends the log's events to webhooks, to each in order, to all side by side."""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence

from adapters.nats.jetstream import end_tasks, run_until_stopped
from adapters.postgres.postgres import STOP_CHECK
from adapters.settings import Settings
from adapters.subscriptions.feed.tail import Tail
from adapters.subscriptions.webhooks.addresses import Gate, allowed_in
from adapters.subscriptions.webhooks.courier import Courier
from adapters.subscriptions.webhooks.pace import pace_of
from adapters.subscriptions.webhooks.positions import Positions, delivering
from adapters.subscriptions.webhooks.sending import Sender
from application.access.access import Access
from application.log.store import Store
from application.scopes import Scopes
from application.webhooks import Endpoint, all_endpoints, take
from domain.aggregates import ACCOUNT
from domain.event import Recorded
from domain.subscriptions.webhook import REMOVED

STOP_SECONDS = 2.0
"""So long a message that is under way may take to arrive when the part is stopped."""

STANDBY_SECONDS = 1.0
"""Until another look whether the process that delivers is still there."""

log = logging.getLogger(__name__)


def run_courier(settings: Settings, store: Store, stop: threading.Event) -> None:
    """Deliver until `stop` is set. Of two such processes one delivers, and the other waits."""
    run_until_stopped(_run(settings, store, stop), stop)


async def _run(settings: Settings, store: Store, stop: threading.Event) -> None:
    reported = False
    while not stop.is_set():
        async with delivering(store.database_url) as positions:
            if positions is not None:
                await _deliver(settings, store, positions, stop)
            elif not reported:
                log.info("another process delivers to webhooks; this one waits")
            reported = positions is None
        await asyncio.to_thread(stop.wait, STANDBY_SECONDS)


async def _deliver(
    settings: Settings, store: Store, positions: Positions, stop: threading.Event
) -> None:
    head = await asyncio.to_thread(store.head)
    endpoints = await asyncio.to_thread(lambda: all_endpoints(store, upto=head))
    gate, pace = Gate(allowed_in(settings.webhook_allow)), pace_of(settings)
    access = Access(store)
    broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def courier_of(endpoint: Endpoint) -> Courier:
        sender = Sender(gate, settings.webhook_timeout_seconds)
        return Courier(endpoint, store, access, tail, positions, sender, pace)

    def taken(page: Sequence[Recorded]) -> None:
        for recorded in page:
            if changed := take(endpoints, recorded):
                crew.take(changed)
            elif recorded.stream.startswith(f"{ACCOUNT.kind}-"):
                crew.look_again(recorded.entity_id)
        crew.wake()
        tail.keeping = crew.any

    tail = Tail(store, Scopes(store), taken, broken.set_exception)
    async with asyncio.TaskGroup() as group:
        crew = _Crew(group, courier_of)
        await tail.begin(head)
        try:
            for endpoint in endpoints.values():
                crew.take(endpoint)
            tail.keeping = crew.any
            while not stop.is_set() and not broken.done():
                await asyncio.wait({broken}, timeout=STOP_CHECK)
        finally:
            await asyncio.to_thread(tail.close)
        if broken.done():
            broken.result()
        await crew.stop()


class _Crew:
    """The couriers, each a task of its own."""

    def __init__(self, group: asyncio.TaskGroup, courier_of: Callable[[Endpoint], Courier]) -> None:
        self._group = group
        self._courier_of = courier_of
        self._couriers: dict[str, Courier] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, endpoint: Endpoint) -> None:
        """Let the endpoint's courier know; make it for a new one."""
        key = endpoint.webhook_id
        if key in self._couriers:
            self._couriers[key].tell(endpoint)
            if endpoint.webhook.state == REMOVED:
                del self._couriers[key]
            return
        self._couriers[key] = courier = self._courier_of(endpoint)
        task = self._group.create_task(courier.run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def any(self) -> bool:
        return bool(self._couriers)

    def look_again(self, account: str) -> None:
        for courier in self._couriers.values():
            courier.look_again(account)

    def wake(self) -> None:
        for courier in self._couriers.values():
            courier.wake()

    async def stop(self) -> None:
        for courier in self._couriers.values():
            courier.stop()
        if tasks := list(self._tasks):
            await asyncio.wait(tasks, timeout=STOP_SECONDS)
            await end_tasks(*tasks)
