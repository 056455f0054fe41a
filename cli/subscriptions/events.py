"""`stemma events`: the event feed in a terminal."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from itertools import islice
from typing import Any

import click

from adapters.nats.jetstream import DOMAIN
from adapters.nats.login import nats_login
from adapters.settings import load_settings
from domain.text import escaped, is_text
from stemma_client import Received, StemmaError, follow_http
from stemma_client.over_nats import follow_nats


@click.group()
def events() -> None:
    """Follow the events, as other services do."""


@events.command("follow")
@click.option("--after", type=click.IntRange(min=0), default=0, show_default=True,
              help="Start after this position.")  # fmt: skip
@click.option(
    "--name",
    "names",
    multiple=True,
    help="Only events of this name; `version.*` selects all of a kind.",
)
@click.option(
    "--subject", "subjects", multiple=True, help="Only events about this entity, such as version-…."
)
@click.option("--via", type=click.Choice(["http", "nats"]), default="http", show_default=True)
@click.option("--consumer", help="The name of the consumer on NATS; by default that of your seed.")
@click.option("--count", type=click.IntRange(min=1), help="Stop after this many events.")
@click.option("--json", "as_json", is_flag=True, help="Print whole CloudEvents, one per line.")
def follow_command(
    after: int,
    names: Sequence[str],
    subjects: Sequence[str],
    via: str,
    consumer: str | None,
    count: int | None,
    as_json: bool,
) -> None:
    """Show events as they come, in the order of the log: position, name, subject and actor."""
    # The command itself reports the connection errors that matter.
    logging.getLogger("nats").setLevel(logging.ERROR)
    settings = load_settings()
    options: dict[str, Any] = {"after": after, "names": names, "subjects": subjects}
    try:
        if via == "nats":
            login = nats_login(settings)
            domain = DOMAIN if login.seed else None
            options |= login.options()
            options |= {"api_url": settings.api_url, "key": settings.api_key}
            over_nats = follow_nats(login.url, consumer=consumer, domain=domain, **options)
            asyncio.run(_show_all(over_nats, count, as_json))
            return
        over_http = follow_http(settings.require("api_url"), key=settings.api_key, **options)
        for received in islice(over_http, count):
            _show(received, as_json)
    except (StemmaError, ValueError) as error:
        raise click.ClickException(str(error)) from error


async def _show_all(events: AsyncIterator[Received], count: int | None, as_json: bool) -> None:
    shown = 0
    async for received in events:
        _show(received, as_json)
        shown += 1
        if shown == count:
            return


def _show(received: Received, as_json: bool) -> None:
    if as_json:
        click.echo(_escaped_json(received.json().decode()))
        return
    line = f"{received.position} {received.name} {received.subject} {received.actor}"
    click.echo(escaped(line))


def _escaped_json(text: str) -> str:
    """The same JSON, with `\\u` and digits for what would control or reorder a terminal."""
    return "".join(char if is_text(char) else f"\\u{ord(char):04x}" for char in text)
