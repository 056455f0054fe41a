"""`stemma status`: how far each part is, how long the queue is, and who works."""

import asyncio

import msgspec
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from rich.console import Console
from rich.table import Table

from adapters.jetstream import EVENTS, JOBS, REPORTS, WORKERS_BUCKET, birth_of, connect
from adapters.postgres import engine_for
from adapters.settings import Settings
from application.store import Store
from projections.follow import positions_of


def print_status(settings: Settings) -> None:
    """Print positions and lag of every part, jobs waiting, and workers present."""
    url = settings.require("database_url")
    store = Store(url)
    head = store.head()
    table = Table("part", "position", "behind", title=f"event log: up to position {head}")
    with engine_for(url).connect() as connection:
        for name, position in positions_of(connection):
            table.add_row(f"project {name}", str(position), str(head - position))
    workers = asyncio.run(_from_nats(settings.require("nats_url"), store, head, table))
    console = Console()
    console.print(table)
    console.print(workers)
    store.close()


async def _from_nats(nats_url: str, store: Store, head: int, table: Table) -> Table:
    client = await connect(nats_url, "stemma status")
    workers = Table("worker", "device", "trains")
    try:
        js = client.jetstream()
        try:
            await _add_feeds(js, store, head, table)
            bucket = await js.key_value(WORKERS_BUCKET)
        except NotFoundError:
            table.add_row("streams", "not made yet", "")
            return workers
        for entry in await _entries(bucket):
            worker = msgspec.json.decode(entry, type=dict[str, str | None])
            trains = worker.get("version_id") or "nothing"
            workers.add_row(str(worker.get("worker")), str(worker.get("device")), trains)
    finally:
        await client.close()
    return workers


async def _add_feeds(js: JetStreamContext, store: Store, head: int, table: Table) -> None:
    from adapters.relay import last_published

    _, relayed, _ = await last_published(js)
    table.add_row("relay", str(relayed), str(head - relayed))
    policies = store.tracked(f"policies for {await birth_of(js, JOBS)}")
    table.add_row("policies", str(policies), str(head - policies))
    reports = (await js.stream_info(REPORTS)).state.last_seq
    ingested = store.tracked(await birth_of(js, REPORTS))
    table.add_row("ingest (reports)", str(ingested), str(reports - ingested))
    jobs = (await js.stream_info(JOBS)).state.messages
    table.add_row("jobs, waiting or in work", str(jobs), "")
    table.add_row(f"stream {EVENTS}", str((await js.stream_info(EVENTS)).state.messages), "")


async def _entries(bucket: object) -> list[bytes]:
    from nats.js.errors import NoKeysError
    from nats.js.kv import KeyValue

    assert isinstance(bucket, KeyValue)
    try:
        keys = await bucket.keys()
    except NoKeysError:
        return []
    return [entry.value for key in keys if (entry := await bucket.get(key)).value]
