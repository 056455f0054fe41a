"""`stemma status`: positions and heartbeats of the parts, the queue, and the workers."""

import asyncio
from contextlib import closing

import msgspec
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from rich.console import Console
from rich.table import Table

from adapters.health.heartbeats import SILENT_SECONDS, Sign
from adapters.health.standing import DatabaseStandings, Standing, from_database, from_streams
from adapters.nats.jetstream import EVENTS
from adapters.postgres.postgres import engine_for
from adapters.settings import Settings
from adapters.subscriptions.webhooks.positions import standings
from adapters.training.crew import Crew, Lookout, QueueUnreachable, crew_of
from application.log.store import Store
from application.webhooks import all_endpoints
from projections.engine.failing import Failing
from projections.engine.scratch import running_builds

PATIENCE_SECONDS = 3.0


def print_status(settings: Settings) -> None:
    """Print positions, lag and heartbeats of every part, waiting jobs, and workers."""
    url = settings.require("database_url")
    engine = engine_for(url)
    with closing(Store(url)) as store, engine.connect() as connection:
        database = from_database(connection)
        webhooks = standings(connection, all_endpoints(store).values(), database.head)
    others = [
        Standing(f"building {name}", at, max(database.head - at, 0))
        for name, at in running_builds(engine)
    ]
    others += [
        Standing(
            f"courier, webhook {webhook.endpoint.webhook_id} ({webhook.going})",
            webhook.place.position,
            webhook.behind,
        )
        for webhook in webhooks
    ]
    settings.require("nats_url")
    broker = asyncio.run(_from_nats(settings, database))
    console = Console()
    console.print(_positions(database, others, broker))
    if database.failing:
        console.print(_failing(database.failing))
    console.print(_processes(database.signs))
    if broker is not None:
        console.print(_workers(broker.crew))
        if not broker.crew.workers:
            console.print("No worker is online: start one with `stemma worker`.")


class _Nats(msgspec.Struct, frozen=True):
    """The state of NATS; `messages` is None before the streams are created."""

    standings: list[Standing]
    messages: int | None
    crew: Crew


async def _from_nats(settings: Settings, database: DatabaseStandings) -> _Nats | None:
    """The state of NATS; None where it does not answer: the database's state is printed even
    then."""

    async def ask(js: JetStreamContext) -> _Nats:
        try:
            messages = (await js.stream_info(EVENTS)).state.messages
        except NotFoundError:
            messages = None
        return _Nats(await from_streams(js, database), messages, await crew_of(js))

    lookout = Lookout(settings, "stemma status")
    try:
        return await lookout.ask(ask, PATIENCE_SECONDS)
    except QueueUnreachable:
        return None
    finally:
        await lookout.close()


def _positions(database: DatabaseStandings, others: list[Standing], broker: _Nats | None) -> Table:
    table = Table("part", "position", "behind", title=f"event log: up to position {database.head}")
    rows = [(f"project {standing.part}", standing) for standing in database.read_models]
    streams = broker.standings if broker else []
    rows += [(standing.part, standing) for standing in [*database.parts, *others, *streams]]
    for name, standing in rows:
        label = "ingest (reports)" if name == "ingest" else name
        table.add_row(label, str(standing.position), str(standing.behind))
    if broker is None:
        table.add_row("NATS", "does not answer", "")
        return table
    if broker.messages is None:
        table.add_row("streams", "not made yet", "")
    else:
        table.add_row(f"stream {EVENTS}", str(broker.messages), "")
    table.add_row("jobs, waiting", str(broker.crew.waiting), "")
    table.add_row("jobs, in work", str(broker.crew.in_work), "")
    return table


def _failing(read_models: list[Failing]) -> Table:
    table = Table("read model", "failures", "for", "last error", title="failing read models")
    for row in read_models:
        failed = f"{row.failed_ago:.0f} s ago: {row.error}"
        table.add_row(row.read_model, str(row.failures), f"{row.seconds:.0f} s", failed)
    return table


def _processes(signs: list[Sign]) -> Table:
    table = Table("part", "process", "last sign", "failures", "last error")
    for sign in signs:
        dead = " (dead)" if sign.silent > SILENT_SECONDS else ""
        failed = "" if sign.failed_ago is None else f"{sign.failed_ago:.0f} s ago: {sign.error}"
        table.add_row(
            sign.part, sign.process, f"{sign.silent:.0f} s ago{dead}", str(sign.failures), failed
        )
    return table


def _workers(crew: Crew) -> Table:
    workers = Table("worker", "device", "trains", "since")
    for worker in crew.workers:
        since = f"{worker.since:%Y-%m-%d %H:%M:%S} UTC"
        workers.add_row(worker.worker, worker.device, worker.version_id or "nothing", since)
    return workers
