"""What commands print: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table

ID_WIDTH = 36
_WIDE = 10_000

json_option: Callable[[Any], Any] = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, for programs."
)


def print_json(value: object) -> None:
    """Write JSON in ASCII, so that no text in it can steer a terminal."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None
) -> None:
    """Write a table. Columns named `id`, or that end with it, are never cut.

    In a pipe, a row is one line of any width.
    """
    table = Table(title=title, title_justify="left")
    for name in columns:
        is_id = name == "id" or name.endswith(" id")
        table.add_column(
            name,
            overflow="fold",
            no_wrap=is_id,
            min_width=ID_WIDTH if is_id else None,
        )
    for row in rows:
        table.add_row(*row)
    table_console().print(table)


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
