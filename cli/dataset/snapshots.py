"""`stemma snapshots`: names of positions of a dataset, and differences, through the public API."""

from typing import Any

import click

from cli.calls import calling, find_view, require_project
from cli.output import json_option, print_json, print_list
from domain.formatting import moment_of


@click.group("snapshots")
def snapshots() -> None:
    """Manage names for positions of a project's dataset. PROJECT is a name or an id."""


@snapshots.command("list")
@click.argument("project")
@json_option
def list_command(project: str, as_json: bool) -> None:
    """List the snapshots of PROJECT, newest first."""
    with calling(exact=as_json) as client:
        rows = list(client.query_all(f"projects/{require_project(client, project)}/snapshots"))

    def row(snapshot: dict[str, Any]) -> tuple[str, ...]:
        position = str(snapshot["log_position"])
        return snapshot["name"], position, snapshot["named_by"], moment_of(snapshot["named_at"])

    print_list(rows, ("name", "position", "named by", "at"), row, as_json=as_json)


@snapshots.command("name")
@click.argument("project")
@click.argument("name")
@click.option("--position", type=int, help="A position of the log; by default now.")
def name_command(project: str, name: str, position: int | None) -> None:
    """Name the dataset of PROJECT, now or at a position."""
    with calling() as client:
        path = f"projects/{require_project(client, project)}/snapshots"
        client.command(path, {"name": name, "position": position})
    click.echo(f"named {name}")


@snapshots.command("remove")
@click.argument("project")
@click.argument("name")
def remove_command(project: str, name: str) -> None:
    """Remove the name of a snapshot. The dataset at its position stays in the log."""
    with calling() as client:
        client.delete(f"projects/{require_project(client, project)}/snapshots", name=name)
    click.echo(f"removed {name}")


@snapshots.command("diff")
@click.argument("project")
@click.argument("first")
@click.argument("second", required=False)
@click.option("--change", type=click.Choice(["added", "removed", "relabelled", "moved"]),
              help="Only images with this change.")  # fmt: skip
@click.option("--view", help="Labels of this view only: an id, or PROJECT/VIEW.")
@json_option
def diff_command(
    project: str,
    first: str,
    second: str | None,
    change: str | None,
    view: str | None,
    as_json: bool,
) -> None:
    """Compare the dataset of PROJECT at FIRST with SECOND, by default the current one.

    Each is a snapshot's name, a position of the log or a time.
    """
    with calling(exact=as_json) as client:
        parameters: dict[str, Any] = {"from": first, "to": second, "change": change}
        if view is not None:
            parameters["view_id"] = find_view(client, view, archived=True)["view_id"]
        given = {key: value for key, value in parameters.items() if value is not None}
        path = f"projects/{require_project(client, project)}/difference"
        counts = client.query(path, **given, limit=1)["counts"]
        if as_json:
            items = list(client.query_all(path, **given, limit=500))
            print_json({"counts": counts, "items": items})
            return
        click.echo(", ".join(f"{number:,} {name}" for name, number in counts.items()))
        for item in client.query_all(path, **given, limit=500):
            click.echo(f"{_described(item)}  {item['file_name']}  {item['image_id']}")


def _described(item: dict[str, Any]) -> str:
    before, after = item["split_before"], item["split_after"]
    if before is None or after is None:
        return f"added to {after}" if before is None else f"removed from {before}"
    texts = ["relabelled"] * item["relabelled"] + [f"{before} → {after}"] * (before != after)
    return ", ".join(texts)
