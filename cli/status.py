"""`stemma status`: how far each part is, whether it runs, how long the queue is, and who works."""

import asyncio
from contextlib import closing

from nats.js.errors import NotFoundError
from rich.console import Console
from rich.table import Table

from adapters.crew import Crew, crew_of
from adapters.heartbeats import SILENT_SECONDS, Sign
from adapters.jetstream import EVENTS, connect
from adapters.nats_login import NatsLogin, nats_login
from adapters.postgres import engine_for
from adapters.settings import Settings
from adapters.standing import DatabaseStandings, Standing, from_database, from_streams
from adapters.webhooks.positions import standings
from application.store import Store
from application.webhooks import all_endpoints
from projections.scratch import under_way


def print_status(settings: Settings) -> None:
    """Print positions and lag of every part, its signs of life, jobs waiting, and workers."""
    url = settings.require("database_url")
    engine = engine_for(url)
    with closing(Store(url)) as store, engine.connect() as connection:
        known = from_database(connection)
        webhooks = standings(connection, all_endpoints(store).values(), known.head)
    others = [
        Standing(f"building {name}", at, max(known.head - at, 0)) for name, at in under_way(engine)
    ]
    others += [
        Standing(
            f"courier, webhook {one.endpoint.webhook_id} ({one.endpoint.webhook.state})",
            one.place.position,
            one.behind,
        )
        for one in webhooks
    ]
    streams, messages, crew = asyncio.run(_from_nats(nats_login(settings), known))
    console = Console()
    console.print(_positions(known, others, streams, messages, crew))
    console.print(_processes(known.signs))
    console.print(_workers(crew))


async def _from_nats(
    nats: NatsLogin, known: DatabaseStandings
) -> tuple[list[Standing], int | None, Crew]:
    client = await connect(nats, "stemma status")
    try:
        js = client.jetstream()
        try:
            messages = (await js.stream_info(EVENTS)).state.messages
        except NotFoundError:
            messages = None
        return await from_streams(js, known), messages, await crew_of(js)
    finally:
        await client.close()


def _positions(
    known: DatabaseStandings,
    others: list[Standing],
    streams: list[Standing],
    messages: int | None,
    crew: Crew,
) -> Table:
    table = Table("part", "position", "behind", title=f"event log: up to position {known.head}")
    rows = [(f"project {one.part}", one) for one in known.read_models]
    rows += [(one.part, one) for one in [*known.parts, *others, *streams]]
    for name, one in rows:
        shown = "ingest (reports)" if name == "ingest" else name
        table.add_row(shown, str(one.position), str(one.behind))
    if messages is None:
        table.add_row("streams", "not made yet", "")
    else:
        table.add_row(f"stream {EVENTS}", str(messages), "")
    table.add_row("jobs, waiting", str(crew.waiting), "")
    table.add_row("jobs, in work", str(crew.in_work), "")
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


def _workers(crew: Crew) -> Table:
    workers = Table("worker", "device", "trains", "since")
    for one in crew.workers:
        since = f"{one.since:%Y-%m-%d %H:%M:%S} UTC"
        workers.add_row(one.worker, one.device, one.version_id or "nothing", since)
    return workers
