"""`stemma status`: how far each part is, how long the queue is, and who works."""

import asyncio

from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, text

from adapters.crew import crew_of
from adapters.eraser import FEED as ERASURES
from adapters.jetstream import (
    CONTROL_STREAM,
    EVENTS,
    JOBS,
    REPORTS,
    birth_of,
    connect,
)
from adapters.nats_login import NatsLogin, nats_login
from adapters.postgres import engine_for
from adapters.settings import Settings
from application.store import Store
from projections.follow import positions_of
from projections.registry import READ_MODELS
from projections.scratch import under_way


def print_status(settings: Settings) -> None:
    """Print positions and lag of every part, jobs waiting, and workers present."""
    url = settings.require("database_url")
    store = Store(url)
    head = store.head()
    table = Table("part", "position", "behind", title=f"event log: up to position {head}")
    with engine_for(url).connect() as connection:
        for name, position in positions_of(connection, READ_MODELS):
            table.add_row(f"project {name}", str(position), str(head - position))
        signed = _signed(connection)
        table.add_row("checkpoints", str(signed), str(head - signed))
    erased = store.tracked(ERASURES)
    table.add_row("eraser", str(erased), str(head - erased))
    for name, position in under_way(engine_for(url)):
        table.add_row(f"building {name}", str(position), str(max(head - position, 0)))
    workers = asyncio.run(_from_nats(nats_login(settings), store, head, table))
    console = Console()
    console.print(table)
    console.print(workers)
    store.close()


def _signed(connection: Connection) -> int:
    return connection.scalar(text("SELECT coalesce(max(size), 0) FROM log.checkpoints")) or 0


async def _from_nats(nats: NatsLogin, store: Store, head: int, table: Table) -> Table:
    client = await connect(nats, "stemma status")
    workers = Table("worker", "device", "trains", "since")
    try:
        js = client.jetstream()
        crew = await crew_of(js)
        try:
            await _add_feeds(js, store, head, table)
        except NotFoundError:
            table.add_row("streams", "not made yet", "")
        table.add_row("jobs, waiting", str(crew.waiting), "")
        table.add_row("jobs, in work", str(crew.in_work), "")
        for one in crew.workers:
            since = f"{one.since:%Y-%m-%d %H:%M:%S} UTC"
            workers.add_row(one.worker, one.device, one.version_id or "nothing", since)
    finally:
        await client.close()
    return workers


async def _add_feeds(js: JetStreamContext, store: Store, head: int, table: Table) -> None:
    from adapters.relay import last_published

    _, relayed, _ = await last_published(js)
    table.add_row("relay", str(relayed), str(head - relayed))
    for name, stream in (("policies", JOBS), ("control", CONTROL_STREAM)):
        position = store.tracked(f"{name} for {await birth_of(js, stream)}")
        table.add_row(name, str(position), str(head - position))
    reports = (await js.stream_info(REPORTS)).state.last_seq
    ingested = store.tracked(await birth_of(js, REPORTS))
    table.add_row("ingest (reports)", str(ingested), str(reports - ingested))
    table.add_row(f"stream {EVENTS}", str((await js.stream_info(EVENTS)).state.messages), "")
