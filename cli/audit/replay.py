"""`stemma audit replay`: compare the read models with a replay of the log, row by row."""

import json
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import click

from adapters.postgres.builders import replay_all
from adapters.settings import load_settings
from application.log.store import Store
from cli.operations.building import chosen, watched
from cli.reading import reading
from domain.formatting import counted
from projections.engine.compare import Difference
from projections.engine.rebuild import Replayed


@click.command("replay")
@click.argument("names", nargs=-1)
@click.option("--to", type=click.IntRange(min=0), help="Stop at this position of the log.")
def replay_command(names: tuple[str, ...], to: int | None) -> None:
    """Rebuild read models from the log beside the live ones, and compare: all, or those named.

    The exit status is 1 if a row differs, 2 if they could not be compared. With --to it also prints
    a digest of each table at that position, to compare two systems; live rows can be compared only
    if they are at that position.
    """
    read_models = chosen(names)
    url = load_settings().require("database_url")
    with reading(url):
        if to is not None and to > (head := _head(url)):
            raise click.BadParameter(f"the log ends at position {head}", param_hint="--to")
        began = time.monotonic()
        with watched() as watch:
            replays = replay_all(url, read_models, to, watch)
        seconds = time.monotonic() - began
        head = _head(url)
    for replay in replays:
        _show(replay, head)
    events = max(replay.position for replay in replays)
    click.echo(
        f"{counted(events, 'event')} replayed into {counted(len(replays), 'read model')} in"
        f" {seconds:.1f} s,"
        f" {events / seconds:,.0f} a second"
    )
    if any(replay.differences or replay.live_position > head for replay in replays):
        sys.exit(1)


def _head(url: str) -> int:
    with closing(Store(url, pool_size=1)) as store:
        return store.head()


def _show(replayed: Replayed, head: int) -> None:
    name, at = replayed.read_model, replayed.position
    if replayed.live_position > head:
        click.echo(
            f"{name}: the live one is at position {replayed.live_position}, beyond the log's end"
            f" at {head}: it does not follow from the log"
        )
    elif replayed.differences is None:
        click.echo(
            f"{name}: replayed up to position {at}; not compared, because the live one is at"
            f" {replayed.live_position}"
        )
    elif not replayed.differences:
        click.echo(f"{name}: equal to a replay up to position {at}, row by row")
    for difference in replayed.differences or ():
        _show_difference(difference)
    for digest in replayed.digests:
        click.echo(f"  {digest.table}: {counted(digest.rows, 'row')}, {digest.sha256}")


def _show_difference(difference: Difference) -> None:
    click.echo(
        f"{difference.table} differs from a replay: {counted(difference.only_live, 'row')} only"
        " live (-),"
        f" {difference.only_replayed} only replayed (+)"
    )
    for row in difference.rows:
        click.echo(f"  {_values(row.key)}")
        for sign, values in (("-", row.live), ("+", row.replayed)):
            if values is not None:
                click.echo(f"    {sign} {_values(values)}")
    shown = len(difference.rows)
    if shown < max(difference.only_live, difference.only_replayed):
        click.echo(f"  and more; only the first {shown} are listed")


def _values(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {json.dumps(value)}" for name, value in values.items())
