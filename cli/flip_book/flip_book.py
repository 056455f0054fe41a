"""`stemma flip-book`: what was recorded of a version's items, epoch by epoch, through the API."""

from typing import Any
from urllib.parse import quote

import click
from rich.console import Console
from rich.table import Table

from cli.calls import calling
from cli.client import ApiClient
from cli.flip_book.csv_file import print_csv

_METRICS = ("confidence", "variability", "correctness", "aum", "loss")


@click.command("flip-book")
@click.argument("version_id", metavar="VERSION")
@click.option("--epoch", type=click.IntRange(min=1), help="The items after this epoch.")
@click.option("--item", help="One item over the epochs, by its key.")
@click.option("--csv", "as_csv", is_flag=True, help="All items after --epoch, or the last, as CSV.")
@click.option("--sort", default="confidence", show_default=True, help="The metric to sort by.")
@click.option("--descending", is_flag=True, help="The highest first.")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True)
def flip_book_command(
    version_id: str,
    epoch: int | None,
    item: str | None,
    as_csv: bool,
    sort: str,
    descending: bool,
    limit: int,
) -> None:
    """See how a version learnt its images: the recorded epochs, the items after one, or an item."""
    path = f"versions/{quote(version_id, safe='')}/flip-book"
    with calling() as client:
        if as_csv:
            print_csv(client, f"{path}/items.csv", {} if epoch is None else {"epoch": epoch})
        elif item is not None:
            _print_item(client.query(f"{path}/items/{quote(item, safe='')}"))
        elif epoch is not None:
            order = "descending" if descending else "ascending"
            page = client.query(f"{path}/epochs/{epoch}/items", sort=sort, order=order, limit=limit)
            _print_items(page)
        else:
            _print_epochs(client, path)


def _print_epochs(client: ApiClient, path: str) -> None:
    view = client.query(path)
    if view["note"]:
        click.echo(view["note"])
    table = Table("epoch", "iteration", "images", "items", "seconds", "sha256")
    for row in client.query_all(f"{path}/epochs"):
        numbers = (row[name] for name in ("epoch", "iteration", "images", "rows", "seconds"))
        table.add_row(*map(str, numbers), row["items"][:12])
    if table.row_count:
        Console(markup=False).print(table)


def _print_items(page: dict[str, Any]) -> None:
    table = Table("item", "file", "concept", "predicted", *_METRICS, "region")
    for row in page["items"]:
        table.add_row(
            row["item"],
            row["file_name"],
            row["label"],
            row["predicted_label"] or "nothing",
            *(f"{row[name]:.3f}" for name in _METRICS),
            row["region"],
        )
    Console(markup=False).print(table)
    click.echo(f"{len(page['items'])} of {page['count']} items after epoch {page['epoch']}")


def _print_item(view: dict[str, Any]) -> None:
    item = view["item"]
    click.echo(f"{item['file_name']} ({item['split']}), {item['label']}: {item['region']}")
    table = Table("epoch", "probability", "margin", "correct", *_METRICS)
    for row in view["epochs"]:
        table.add_row(
            str(row["epoch"]),
            *(f"{row[name]:.3f}" for name in ("probability", "margin")),
            "yes" if row["correct"] else "no",
            *(f"{row[name]:.3f}" for name in _METRICS),
        )
    Console(markup=False).print(table)
