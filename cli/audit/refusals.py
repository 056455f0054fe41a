"""`stemma audit refusals`: denied requests, through the API."""

from itertools import islice

import click
from rich.console import Console
from rich.table import Table

from cli.calls import PAGE, calling
from cli.reading import NOT_LOOKED


@click.command("refusals")
@click.option("--account", help="Only those of this account.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
def refusals_command(account: str | None, limit: int) -> None:
    """List refused requests, newest first, counted by the minute."""
    table = Table("minute", "account", "request", "reason", "times")
    filters = {"account": account} if account else {}
    with calling(unreachable=NOT_LOOKED) as client:
        rows = client.query_all("refusals", limit=min(limit, PAGE), **filters)
        for row in islice(rows, limit):
            request = f"{row['method']} {row['route']}"
            minute, who = row["minute"].replace(":00Z", "Z"), row["account"] or "nobody"
            table.add_row(minute, who, request, row["reason"], str(row["count"]))
    Console(soft_wrap=True, markup=False).print(table)
