"""`stemma audit refusals`: who was not let in where, by the API."""

from itertools import islice

import click
from rich.console import Console
from rich.table import Table

from cli.calls import PAGE, calling


@click.command("refusals")
@click.option("--account", help="Only this one's.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
def refusals_command(account: str | None, limit: int) -> None:
    """Say which requests were refused, the newest first, counted by the minute."""
    table = Table("minute", "account", "request", "reason", "times")
    wanted = {"account": account} if account else {}
    with calling() as client:
        found = client.query_all("refusals", limit=min(limit, PAGE), **wanted)
        for one in islice(found, limit):
            request = f"{one['method']} {one['route']}"
            minute, who = one["minute"].replace(":00Z", "Z"), one["account"] or "nobody"
            table.add_row(minute, who, request, one["reason"], str(one["count"]))
    Console(soft_wrap=True).print(table)
