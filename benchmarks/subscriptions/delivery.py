"""The delay from an event's commit to a subscriber on NATS, through the relay, at a steady rate."""

import asyncio
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from nats.js import JetStreamContext
from nats.js.api import DeliverPolicy

from adapters.nats.jetstream import EVENTS, EVERY_EVENT, connect, ensure_streams
from adapters.servers.nats import EmbeddedNats
from adapters.subscriptions.relay import last_published
from application.log.store import Store
from benchmarks.database import migrated_postgres
from benchmarks.measurements import Measurement, quantile
from benchmarks.processes import data_folder, stemma
from benchmarks.quiet import repeat
from benchmarks.sample_events import recorded
from benchmarks.subscriptions.relaying import opened
from domain.aggregates import PROJECT
from domain.dataset.project import ProjectCreated
from domain.event import Recorded

RATE = 500
SECONDS, QUICK_SECONDS = 20, 0.2
WRITERS = 4
PATIENCE_SECONDS = 60.0
SHARES = {"p50": 0.5, "p99": 0.99}


def run(quick: bool) -> list[Measurement]:
    """Milliseconds from the return of `append` until the subscriber has the message."""
    events = round(RATE * (QUICK_SECONDS if quick else SECONDS))
    with (
        data_folder() as folder,
        migrated_postgres(folder) as postgres,
        EmbeddedNats(folder) as nats,
        opened(postgres.app_url) as store,
    ):
        environment = {
            "STEMMA_DATA": str(folder),
            "STEMMA_DATABASE_URL": postgres.app_url,
            "STEMMA_NATS_URL": nats.url,
        }
        with stemma("relay", log=folder / "relay.log", settings=environment):
            done = repeat(
                1 if quick else 3,
                lambda: asyncio.run(_delays(store, nats.url, events)),
                spare=0 if quick else 1,
            )
    what = f"an event committed until a subscriber has it, {RATE} a second"
    measurements = [
        Measurement(
            what=f"{what}: {label}",
            unit="ms",
            ours=tuple(quantile(delays, share) for delays, _ in done.results),
            others=done.others,
        )
        for label, share in SHARES.items()
    ]
    rate = Measurement(
        what=f"{what}: commits a second that were reached",
        unit="events/s",
        ours=tuple(reached for _, reached in done.results),
        others=done.others,
    )
    return [*measurements, rate]


async def _delays(store: Store, url: str, events: int) -> tuple[list[float], float]:
    """Milliseconds for each event, and how many were committed a second."""
    client = await connect(url, "benchmark")
    js = client.jetstream()
    await ensure_streams(js)
    await _until_relayed(store, js)
    subscription = await js.subscribe(
        EVERY_EVENT, stream=EVENTS, ordered_consumer=True, deliver_policy=DeliverPolicy.NEW
    )
    arrived: dict[int, float] = {}
    writing = asyncio.ensure_future(asyncio.to_thread(_write, store, events))
    for _ in range(events):
        message = await subscription.next_msg(timeout=PATIENCE_SECONDS)
        arrived[int((message.headers or {})["ce-sequence"])] = time.perf_counter()
    committed, seconds = await writing
    await client.close()
    delays = [(arrived[position] - then) * 1000 for position, then in committed.items()]
    return delays, events / seconds


async def _until_relayed(store: Store, js: JetStreamContext) -> None:
    """Wait until one more event is published: then the relay runs and has no backlog."""
    position = store.append([_created()])
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await last_published(js)).position < position:
            await asyncio.sleep(0.05)


def _write(store: Store, events: int) -> tuple[dict[int, float], float]:
    """Commit each event when it is due; return the time at which each position was committed."""
    began = time.perf_counter()

    def commit(number: int) -> tuple[int, float]:
        time.sleep(max(0.0, began + number / RATE - time.perf_counter()))
        return store.append([_created()]), time.perf_counter()

    with ThreadPoolExecutor(WRITERS) as writers:
        committed = dict(writers.map(commit, range(events)))
    return committed, time.perf_counter() - began


def _created() -> Recorded:
    return recorded(PROJECT.stream(str(uuid.uuid4())), 1, ProjectCreated("Images"))
