"""The relay from the event log to the EVENTS stream, against awaiting each acknowledgement."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path

import msgspec
from nats.js import JetStreamContext

from adapters.nats.jetstream import EVENTS, connect, ensure_streams, event_subject
from adapters.servers.nats import EmbeddedNats
from adapters.subscriptions.relay import Relay, last_published
from application.log.store import Store
from benchmarks.database import checkpoint, migrated_postgres
from benchmarks.measurements import Expected, Measurement
from benchmarks.memory import memory_of
from benchmarks.processes import data_folder, stemma
from benchmarks.quiet import repeat
from benchmarks.sample_events import copy_all
from benchmarks.sample_log import log_of_teams
from benchmarks.sizes import size
from domain.subscriptions.cloud_events import binary_headers, cloud_event

EVENTS_IN_ALL, FULL_EVENTS, QUICK_EVENTS = 300_000, 1_000_000, 3_000
SOME, QUICK_SOME = 50_000, 1_000
ACKNOWLEDGED, QUICK_ACKNOWLEDGED = 2_000, 100
EARLY = 0.1
"""The share of the log after which memory is compared with that after the whole log."""


def run(quick: bool) -> list[Measurement]:
    """Events a second from the table to an acknowledged, synced stream; and the relay's memory."""
    total = QUICK_EVENTS if quick else size(EVENTS_IN_ALL, FULL_EVENTS)
    some = QUICK_SOME if quick else SOME
    each = QUICK_ACKNOWLEDGED if quick else ACKNOWLEDGED
    with (
        data_folder() as folder,
        migrated_postgres(folder) as postgres,
        EmbeddedNats(folder) as nats,
        opened(postgres.app_url) as store,
    ):
        log = log_of_teams(total)
        copy_all(postgres.admin_url, islice(log, some))

        def measure() -> tuple[float, float]:
            checkpoint(postgres.admin_url)
            relayed = some / asyncio.run(_emptied(nats.url, partial(_relay, store)))
            acknowledged = each / asyncio.run(_emptied(nats.url, partial(_await_each, store, each)))
            return relayed, acknowledged

        beside = repeat(1 if quick else 3, measure, spare=0 if quick else 1)
        copy_all(postgres.admin_url, log)
        environment = {
            "STEMMA_DATA": str(folder),
            "STEMMA_DATABASE_URL": postgres.app_url,
            "STEMMA_NATS_URL": nats.url,
        }
        asyncio.run(_emptied(nats.url, _nothing))
        catching_up = repeat(
            1, lambda: asyncio.run(_catch_up(nats.url, total, folder, environment))
        )
    ours, theirs = zip(*beside.results, strict=True)
    [(rate, early, peak)] = catching_up.results
    what = f"a catch-up of {total:,} events"
    return [
        Measurement(
            what=f"{some:,} events onto an empty stream",
            unit="events/s",
            ours=ours,
            alternative=f"each acknowledgement awaited, the first {each:,} of them",
            theirs=theirs,
            expected=Expected(5, at_least=True),
            others=beside.others,
        ),
        Measurement(what=what, unit="events/s", ours=(rate,), others=catching_up.others),
        Measurement(
            what=f"{what}: most memory of the relay",
            unit="MiB",
            ours=(peak,),
            alternative=f"for the first {EARLY:.0%} of them",
            theirs=(early,),
            expected=Expected(1.2),
            others=catching_up.others,
        ),
    ]


@contextmanager
def opened(url: str) -> Iterator[Store]:
    store = Store(url)
    try:
        yield store
    finally:
        store.close()


async def _emptied(url: str, work: Callable[[JetStreamContext], Awaitable[None]]) -> float:
    """The seconds that a coroutine takes on an empty stream."""
    client = await connect(url, "benchmark")
    try:
        js = client.jetstream()
        await ensure_streams(js)
        await js.delete_stream(EVENTS)
        await ensure_streams(js)
        began = time.perf_counter()
        await work(js)
        return time.perf_counter() - began
    finally:
        await client.close()


async def _nothing(_: JetStreamContext) -> None:
    """No work: only the stream is emptied."""


async def _relay(store: Store, js: JetStreamContext) -> None:
    await Relay(store, js).catch_up()


async def _await_each(store: Store, events: int, js: JetStreamContext) -> None:
    """Publish without batches: each message after the previous acknowledgement."""
    for recorded in islice(store.read_all(), events):
        event = cloud_event(recorded)
        await js.publish(
            event_subject(event.type, recorded.entity_id, None, None),
            msgspec.json.encode(event.data),
            headers=binary_headers(event) | {"Nats-Msg-Id": event.id},
        )


async def _catch_up(
    url: str, total: int, folder: Path, environment: dict[str, str]
) -> tuple[float, float, float]:
    """Events a second of a relay process, and its peak memory in MiB, early and in total."""
    client = await connect(url, "benchmark")
    js = client.jetstream()
    early = peak = 0.0
    reached, began = 0, 0.0
    with stemma("relay", log=folder / "relay.log", settings=environment) as process:
        while reached < total:
            assert process.poll() is None, (folder / "relay.log").read_text()
            await asyncio.sleep(0.05)
            reached = (await last_published(js)).position
            # From its first message: the start of the process is not measured.
            began = began or (time.perf_counter() if reached else 0.0)
            peak = max(peak, memory_of([process.pid])[1])
            if reached <= total * EARLY or not early:
                early = peak
        rate = total / (time.perf_counter() - began)
    await client.close()
    return rate, early, peak
