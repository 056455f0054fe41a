"""`stemma status`: how far each part is, whether it runs, how long the queue is, and who works."""

import asyncio
from contextlib import closing

import msgspec
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from rich.console import Console
from rich.table import Table

from adapters.health.consumer_lag import (
    ConsumerLag,
    DatabaseStatus,
    read_database_status,
    read_stream_lags,
)
from adapters.health.heartbeats import SILENT_SECONDS, Sign
from adapters.nats.jetstream import EVENTS
from adapters.postgres.postgres import engine_for
from adapters.settings import Settings
from adapters.subscriptions.webhooks.positions import standings
from adapters.training.worker_pool import (
    QueueMonitor,
    QueueUnreachable,
    WorkerPool,
    read_worker_pool,
)
from application.log.store import Store
from application.webhooks import all_endpoints
from projections.engine.failing import Failing
from projections.engine.scratch import running_builds

PATIENCE_SECONDS = 3.0


def print_status(settings: Settings) -> None:
    """Print positions and lag of every part, its signs of life, jobs waiting, and workers."""
    url = settings.require("database_url")
    engine = engine_for(url)
    with closing(Store(url)) as store, engine.connect() as connection:
        known = read_database_status(connection)
        webhooks = standings(connection, all_endpoints(store).values(), known.head)
    others = [
        ConsumerLag(f"building {name}", at, max(known.head - at, 0))
        for name, at in running_builds(engine)
    ]
    others += [
        ConsumerLag(
            f"courier, webhook {one.endpoint.webhook_id} ({one.going})",
            one.place.position,
            one.behind,
        )
        for one in webhooks
    ]
    settings.require("nats_url")
    found = asyncio.run(_from_nats(settings, known))
    console = Console()
    console.print(_positions(known, others, found))
    if known.failing:
        console.print(_failing(known.failing))
    console.print(_processes(known.heartbeats))
    if found is not None:
        console.print(_workers(found.pool))


class _Nats(msgspec.Struct, frozen=True):
    """What NATS knows; `messages` is None before the streams are made."""

    lags: list[ConsumerLag]
    messages: int | None
    pool: WorkerPool


async def _from_nats(settings: Settings, known: DatabaseStatus) -> _Nats | None:
    """None where NATS does not answer: then the database's part is told all the same."""

    async def ask(js: JetStreamContext) -> _Nats:
        try:
            messages = (await js.stream_info(EVENTS)).state.messages
        except NotFoundError:
            messages = None
        return _Nats(await read_stream_lags(js, known), messages, await read_worker_pool(js))

    queue_monitor = QueueMonitor(settings, "stemma status")
    try:
        return await queue_monitor.query(ask, PATIENCE_SECONDS)
    except QueueUnreachable:
        return None
    finally:
        await queue_monitor.close()


def _positions(known: DatabaseStatus, others: list[ConsumerLag], found: _Nats | None) -> Table:
    table = Table("part", "position", "behind", title=f"event log: up to position {known.head}")
    rows = [(f"project {one.part}", one) for one in known.read_models]
    streams = found.lags if found else []
    rows += [(one.part, one) for one in [*known.parts, *others, *streams]]
    for name, one in rows:
        shown = "ingest (reports)" if name == "ingest" else name
        table.add_row(shown, str(one.position), str(one.behind))
    if found is None:
        table.add_row("NATS", "does not answer", "")
        return table
    if found.messages is None:
        table.add_row("streams", "not made yet", "")
    else:
        table.add_row(f"stream {EVENTS}", str(found.messages), "")
    table.add_row("jobs, waiting", str(found.pool.waiting), "")
    table.add_row("jobs, in work", str(found.pool.in_work), "")
    return table


def _failing(read_models: list[Failing]) -> Table:
    table = Table("read model", "failures", "for", "last error", title="failing read models")
    for one in read_models:
        failed = f"{one.failed_ago:.0f} s ago: {one.error}"
        table.add_row(one.read_model, str(one.failures), f"{one.seconds:.0f} s", failed)
    return table


def _processes(signs: list[Sign]) -> Table:
    table = Table("part", "process", "last sign", "failures", "last error")
    for one in signs:
        dead = " (dead)" if one.silent > SILENT_SECONDS else ""
        failed = "" if one.failed_ago is None else f"{one.failed_ago:.0f} s ago: {one.error}"
        table.add_row(
            one.part, one.process, f"{one.silent:.0f} s ago{dead}", str(one.failures), failed
        )
    return table


def _workers(pool: WorkerPool) -> Table:
    workers = Table("worker", "device", "trains", "since")
    for one in pool.workers:
        since = f"{one.since:%Y-%m-%d %H:%M:%S} UTC"
        workers.add_row(one.worker, one.device, one.version_id or "nothing", since)
    return workers
