"""`stemma flip-book`: what was recorded of a version's items, epoch by epoch, through the API."""

from typing import Any
from urllib.parse import quote

import click

from cli.calls import calling, find_version
from cli.flip_book.csv_file import print_csv
from cli.output import json_option, print_json, print_table
from domain.formatting import counted

_METRICS = ("confidence", "variability", "correctness", "aum", "loss")


@click.command("flip-book")
@click.argument("version")
@click.option("--epoch", type=click.IntRange(min=1), help="The items after this epoch.")
@click.option("--item", help="One item over the epochs, by its key.")
@click.option(
    "--csv", "as_csv", is_flag=True, help="All items after --epoch, by default the last, as CSV."
)
@click.option("--sort", default="confidence", show_default=True, help="The metric to sort by.")
@click.option("--descending", is_flag=True, help="Highest first.")
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True)
@json_option
def flip_book_command(
    version: str,
    epoch: int | None,
    item: str | None,
    as_csv: bool,
    sort: str,
    descending: bool,
    limit: int,
    as_json: bool,
) -> None:
    """Show how a version learned its images: the recorded epochs, the items after one, or one
    item."""
    with calling(exact=as_json) as client:
        path = f"versions/{find_version(client, version)}/flip-book"
        if as_csv:
            print_csv(client, f"{path}/items.csv", {} if epoch is None else {"epoch": epoch})
        elif item is not None:
            view = client.query(f"{path}/items/{quote(item, safe='')}")
            print_json(view) if as_json else _print_item(view)
        elif epoch is not None:
            order = "descending" if descending else "ascending"
            page = client.query(f"{path}/epochs/{epoch}/items", sort=sort, order=order, limit=limit)
            print_json(page) if as_json else _print_items(page)
        else:
            view = client.query(path)
            epochs = list(client.query_all(f"{path}/epochs"))
            print_json(view | {"items": epochs}) if as_json else _print_epochs(view, epochs)


def _print_epochs(view: dict[str, Any], epochs: list[dict[str, Any]]) -> None:
    if view["note"]:
        click.echo(view["note"])
    if epochs:
        numbers = ("epoch", "iteration", "images", "rows", "seconds")
        print_table(
            ("epoch", "iteration", "images", "items", "seconds", "sha256"),
            [(*(str(row[name]) for name in numbers), row["items"]) for row in epochs],
        )


def _print_items(page: dict[str, Any]) -> None:
    rows = [
        (
            row["item"],
            row["file_name"],
            row["label"],
            row["predicted_label"] or "nothing",
            *(f"{row[name]:.3f}" for name in _METRICS),
            row["region"],
        )
        for row in page["items"]
    ]
    print_table(("item id", "file", "concept", "predicted", *_METRICS, "region"), rows)
    click.echo(
        f"{len(page['items']):,} of {counted(page['count'], 'item')} after epoch {page['epoch']}"
    )


def _print_item(view: dict[str, Any]) -> None:
    item = view["item"]
    click.echo(f"{item['file_name']} ({item['split']}), {item['label']}: {item['region']}")
    rows = [
        (
            str(row["epoch"]),
            *(f"{row[name]:.3f}" for name in ("probability", "margin")),
            "yes" if row["correct"] else "no",
            *(f"{row[name]:.3f}" for name in _METRICS),
        )
        for row in view["epochs"]
    ]
    print_table(("epoch", "probability", "margin", "correct", *_METRICS), rows)
