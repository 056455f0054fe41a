"""`stemma suspects`: labels that deserve a second look, and decisions about them, by the API."""

import time
from collections.abc import Sequence
from typing import Any

import click

from cli.calls import calling, find_version
from cli.client import ApiClient
from cli.flip_book.csv_file import print_csv
from cli.output import json_option, print_json

_PAUSE_SECONDS = 0.5


@click.command("suspects")
@click.argument("version")
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@click.option(
    "--split", type=click.Choice(["train", "validation"]), help="Only suspects of this split."
)
@click.option("--concept", metavar="ID", help="Only suspects with this concept as their label.")
@click.option(
    "--state",
    type=click.Choice(["open", "unsure", "upheld", "corrected", "changed", "all"]),
    default="open",
    show_default=True,
)
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True)
@click.option("--csv", "as_csv", is_flag=True, help="All suspects, as CSV.")
@json_option
@click.option(
    "--uphold", "decision", flag_value="upheld", help="Uphold the labels of KEYs as right."
)
@click.option("--unsure", "decision", flag_value="unsure", help="Leave the KEYs unsure.")
@click.option(
    "--correct", "decision", flag_value="corrected", help="Apply the suggested corrections of KEYs."
)
def suspects_command(
    version: str,
    keys: tuple[str, ...],
    split: str | None,
    concept: str | None,
    state: str,
    limit: int,
    as_csv: bool,
    as_json: bool,
    decision: str | None,
) -> None:
    """List the labels of a version's images that deserve a second look, or decide about some.

    A decision applies to the suspects with these KEYs, and is recorded as events of their images.
    """
    if bool(keys) != (decision is not None):
        raise click.UsageError("give both one or more KEYs and a decision")
    with calling(exact=as_json) as client:
        path = f"versions/{find_version(client, version)}/suspects"
        if decision is not None:
            _decide(client, path, decision, keys)
            return
        view = _complete(client, path, split=split, concept=concept, state=state, limit=limit)
        if as_csv:
            print_csv(client, f"{path}.csv", {})
        elif as_json:
            print_json(view)
        else:
            _print(view)


def _complete(client: ApiClient, path: str, **query: Any) -> dict[str, Any]:
    """The list, once the suspects among the validation images are computed."""
    given = {name: value for name, value in query.items() if value is not None}
    while not (view := client.query(path, **given))["complete"]:
        time.sleep(_PAUSE_SECONDS)
    return view


def _decide(client: ApiClient, path: str, decision: str, keys: Sequence[str]) -> None:
    body = {"decision": decision, "items": list(keys)}
    answer = client.command(f"{path}/decisions", body)
    client.query(path, at_least=answer["position"])
    click.echo(f"{len(keys)} {decision}")


def _print(view: dict[str, Any]) -> None:
    for note in view["notes"]:
        click.echo(note)
    for row in view["items"]:
        suggestion = row["suggestion"]
        label = f"'{row['label']}'" if row["present"] else f"no '{row['label']}'"
        state = "" if row["state"] == "open" else f" ({row['state']})"
        click.echo(
            f"{row['split']} {row['rank']}, {row['measure']} {row['score']:.3f}{state}:"
            f" {row['file_name']}, {label}: {row['reason']};"
            f" {suggestion['action']} '{suggestion['label']}'"
        )
        click.echo(f"    {row['item']}")
    counts = ", ".join(f"{number} {state}" for state, number in view["counts"].items() if number)
    click.echo(f"{len(view['items'])} of {view['count']}; in total {counts or 'none'}")
