"""What commands print: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

_WIDE = 10_000
_WHOLE = ("id", "queue")

json_option: Callable[[Any], Any] = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, for programs."
)


def print_json(value: object) -> None:
    """Write JSON in ASCII, so that no text in it can steer a terminal."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None
) -> None:
    """Write a table. Columns of ids and queues are never cut: those named `id` or `queue`, or whose
    name ends so.

    In a pipe, a row is one line of any width.
    """
    table_console().print(table_of(columns, rows, title=title))


def table_of(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    title: str | None = None,
    whole: Sequence[str] = (),
) -> Table:
    """A table, in which the columns `whole` are not cut either."""
    rows = list(rows)
    table = Table(title=title, title_justify="left")
    for place, name in enumerate(columns):
        is_whole = name.rpartition(" ")[2] in _WHOLE or name in whole
        longest = max((cell_len(row[place]) for row in rows), default=0)
        table.add_column(
            name,
            overflow="fold",
            no_wrap=is_whole,
            min_width=max(longest, cell_len(name)) if is_whole else None,
        )
    for row in rows:
        table.add_row(*row)
    return table


def table_console() -> Console:
    """Where tables are written: in a pipe, a row is one line of any width."""
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console = Console(markup=False, highlight=False, width=_WIDE)
    return console


def print_list(
    items: list[dict[str, Any]],
    columns: Sequence[str],
    row: Callable[[dict[str, Any]], Sequence[str]],
    *,
    as_json: bool,
) -> None:
    """Write a list of the API's as a table, or as it is."""
    if as_json:
        print_json(items)
    else:
        print_table(columns, map(row, items))
