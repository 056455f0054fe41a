"""`stemma status`: positions and heartbeats of the parts, the queue, and the workers."""

import asyncio
from contextlib import closing

import msgspec
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from rich.table import Table

from adapters.health.consumer_lag import (
    ConsumerLag,
    DatabaseStatus,
    read_database_status,
    read_stream_lags,
)
from adapters.health.heartbeats import SILENT_SECONDS, ServiceHeartbeat
from adapters.nats.jetstream import EVENTS
from adapters.postgres.postgres import engine_for
from adapters.settings import Settings, read_runtime
from adapters.subscriptions.webhooks.positions import webhook_lags
from adapters.training.worker_pool import (
    QueueMonitor,
    QueueUnreachable,
    WorkerPool,
    read_worker_pool,
)
from application.log.store import Store
from application.webhooks import all_endpoints
from cli.output import table_console, table_of
from domain.formatting import moment
from domain.text import escaped, escaped_lines
from domain.training.messages import WorkerPresence
from projections.engine.failing import Failing
from projections.engine.scratch import running_builds

PATIENCE_SECONDS = 3.0


def print_status(settings: Settings) -> None:
    """Print positions, lag and heartbeats of every part, waiting jobs, and workers."""
    url = settings.require("database_url")
    engine = engine_for(url)
    with closing(Store(url)) as store, engine.connect() as connection:
        database = read_database_status(connection)
        webhooks = webhook_lags(connection, all_endpoints(store).values(), database.head)
    others = [
        ConsumerLag(f"building {name}", at, max(database.head - at, 0))
        for name, at in running_builds(engine)
    ]
    others += [
        ConsumerLag(
            f"courier, webhook {webhook.endpoint.webhook_id} ({webhook.going})",
            webhook.place.position,
            webhook.behind,
        )
        for webhook in webhooks
    ]
    settings.require("nats_url")
    broker = asyncio.run(_from_nats(settings, database))
    console = table_console()
    if (runtime := read_runtime(settings.data)) is not None:
        console.print(f"running at {runtime.api_url}", soft_wrap=True)
    console.print(_positions(database, others, broker))
    if database.failing:
        console.print(_failing(database.failing))
    console.print(_processes(database.heartbeats))
    if broker is not None:
        console.print(_workers(broker.pool))
        if not broker.pool.workers:
            console.print("No worker is online: start one with `stemma run worker`.")


class _Nats(msgspec.Struct, frozen=True):
    """The state of NATS; `messages` is None before the streams are created."""

    lags: list[ConsumerLag]
    messages: int | None
    pool: WorkerPool


async def _from_nats(settings: Settings, database: DatabaseStatus) -> _Nats | None:
    """The state of NATS; None where it does not answer: the database's state is printed even
    then."""

    async def ask(js: JetStreamContext) -> _Nats:
        try:
            messages = (await js.stream_info(EVENTS)).state.messages
        except NotFoundError:
            messages = None
        return _Nats(await read_stream_lags(js, database), messages, await read_worker_pool(js))

    queue_monitor = QueueMonitor(settings, "stemma status")
    try:
        return await queue_monitor.query(ask, PATIENCE_SECONDS)
    except QueueUnreachable:
        return None
    finally:
        await queue_monitor.close()


def _positions(database: DatabaseStatus, others: list[ConsumerLag], broker: _Nats | None) -> Table:
    table = Table(
        "service", "position", "behind", title=f"event log: up to position {database.head}"
    )
    rows = [(f"project {lag.part}", lag) for lag in database.read_models]
    streams = broker.lags if broker else []
    rows += [(lag.part, lag) for lag in [*database.parts, *others, *streams]]
    for name, lag in rows:
        label = "ingest (reports)" if name == "ingest" else name
        table.add_row(label, str(lag.position), str(lag.behind))
    if broker is None:
        table.add_row("NATS", "does not answer", "")
        return table
    if broker.messages is None:
        table.add_row("streams", "not created yet", "")
    else:
        table.add_row(f"stream {EVENTS}", str(broker.messages), "")
    table.add_row("jobs, queued", str(broker.pool.waiting), "")
    table.add_row("jobs, running", str(broker.pool.in_work), "")
    return table


def _failing(read_models: list[Failing]) -> Table:
    table = Table("read model", "failures", "for", "last error", title="failing read models")
    for row in read_models:
        failed = f"{row.failed_ago:.0f} s ago: {escaped_lines(row.error)}"
        table.add_row(row.read_model, str(row.failures), f"{row.seconds:.0f} s", failed)
    return table


def _processes(heartbeats: list[ServiceHeartbeat]) -> Table:
    table = Table("service", "process", "last heartbeat", "failures", "last error")
    for sign in heartbeats:
        dead = " (dead)" if sign.silent > SILENT_SECONDS else ""
        failed = (
            ""
            if sign.failed_ago is None
            else f"{sign.failed_ago:.0f} s ago: {escaped_lines(str(sign.error))}"
        )
        table.add_row(
            sign.part, sign.process, f"{sign.silent:.0f} s ago{dead}", str(sign.failures), failed
        )
    return table


def _workers(pool: WorkerPool) -> Table:
    columns = ("worker", "device", "trains", "since", "trouble")
    return table_of(columns, map(_worker_row, pool.workers), whole=["trains"])


def _worker_row(worker: WorkerPresence) -> tuple[str, ...]:
    trains, since = worker.version_id or "nothing", moment(worker.since)
    return worker.worker, escaped(worker.device), trains, since, escaped(worker.trouble)
