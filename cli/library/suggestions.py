"""`stemma suggestions`: what a version proposes for images without annotation, by the API."""

import sys
import time
from typing import Any

import click

from cli.calls import calling, find_version, find_view
from cli.output import json_option, print_json, print_table
from domain.formatting import counted, percent

LOOK_SECONDS = 0.5
_BY = click.option(
    "--by", type=click.Choice(["entropy", "margin"]), default="entropy", show_default=True,
    help="The measure of uncertainty.",
)  # fmt: skip


@click.group("suggestions")
def suggestions() -> None:
    """Manage the annotations that a version suggests. VIEW is an id, or PROJECT/VIEW."""


@suggestions.command("request")
@click.argument("view")
@click.argument("version")
@click.option(
    "--follow", is_flag=True, help="Wait for the suggestions; exit with 0 only if there are any."
)
def request_command(view: str, version: str, follow: bool) -> None:
    """Request suggestions of VERSION, a ready version of VIEW, by its id or PROJECT/VIEW/NAME."""
    with calling() as client:
        version_id = find_version(client, version)
        path = f"views/{find_view(client, view)['view_id']}/suggestions"
        position = client.command(path, {"version_id": version_id})["position"]
        request = client.query(path, at_least=position, limit=1)["request"]
        click.echo(f"request {request['number']} for {counted(request['images'], 'image')}")
        while follow and request["status"] in ("queued", "running"):
            time.sleep(LOOK_SECONDS)
            request = client.query(path, limit=1)["request"]
        if follow:
            click.echo(
                request["failure"] or f"{counted(request['images'], 'image')} with suggestions"
            )
            sys.exit(0 if request["status"] == "done" else 1)


@suggestions.command("list")
@click.argument("view")
@_BY
@click.option("--random-share", type=float, default=0.1, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--limit", type=int, default=20, show_default=True)
@json_option
def list_command(
    view: str, by: str, random_share: float, seed: int, limit: int, as_json: bool
) -> None:
    """List the open suggestions of VIEW, the least certain first."""
    query = {"by": by, "random_share": random_share, "seed": seed, "limit": limit}
    with calling(exact=as_json) as client:
        row = find_view(client, view)
        labels = {each["concept_id"]: each["label"] for each in row["concepts"]}
        found = client.query(f"views/{row['view_id']}/suggestions", **query)
    if as_json:
        print_json(found)
        return

    def cells(item: dict[str, Any]) -> tuple[str, ...]:
        suggested = [labels[each["annotation"]["concept_id"]] for each in item["annotations"]]
        unsure = item["entropy"] if by == "entropy" else 1 - item["margin"]
        names = ", ".join(suggested) or "nothing"
        return item["image_id"], names, f"{item['score']:.3f}", f"{unsure:.3f}"

    print_table(("image id", "suggested", "score", by), map(cells, found["items"]))
    click.echo(f"{found['count']:,} open{_became(found['outcomes'])}")


@suggestions.command("accept")
@click.argument("view")
@click.option("--least", type=float, required=True, help="The minimum score, from 0 to 1.")
def accept_command(view: str, least: float) -> None:
    """Accept the open suggestions of VIEW with at least this score, at most 1,000 at once."""
    with calling() as client:
        path = f"views/{find_view(client, view)['view_id']}/suggestions"
        position = client.command(f"{path}/accept", {"least_score": least})["position"]
        found = client.query(path, at_least=position, limit=1)
    click.echo(f"{found['count']:,} open{_became(found['outcomes'])}")


@suggestions.command("reject")
@click.argument("view")
@click.argument("images", metavar="IMAGE...", nargs=-1, required=True)
def reject_command(view: str, images: tuple[str, ...]) -> None:
    """Reject the suggestions for images of VIEW, by the ids of the images; they stay
    unannotated."""
    with calling() as client:
        path = f"views/{find_view(client, view)['view_id']}/suggestions"
        position = client.command(f"{path}/reject", {"image_ids": images})["position"]
        found = client.query(path, at_least=position, limit=1)
    click.echo(f"{found['count']:,} open{_became(found['outcomes'])}")


def _became(outcomes: dict[str, Any] | None) -> str:
    if outcomes is None:
        return ""
    share = outcomes["accepted_unchanged"]
    counts = f"{outcomes['accepted']:,} accepted, {outcomes['changed']:,} changed"
    unchanged = "" if share is None else f"; {percent(share)} of them accepted unchanged"
    return f"; {counts}, {outcomes['rejected']:,} rejected{unchanged}"
