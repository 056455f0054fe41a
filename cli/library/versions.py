"""`stemma versions`: list and show model versions, through the public API."""

from typing import Any

import click

from cli.calls import calling, find_version, find_view, require_project
from cli.later import LaterGroup
from cli.library import test_set
from cli.library.adoption import adopt_command
from cli.library.source import source_command
from cli.library.thresholds import thresholds_command
from cli.output import json_option, print_json, print_list
from domain.formatting import moment_of

_SHOWN = (
    "name",
    "version_id",
    "status",
    "reason",
    "architecture",
    "adopted",
    "indicator",
    "validation_loss",
    "train_images",
    "validation_images",
    "checkpoint",
    "created_at",
    "ended_at",
)


@click.group(
    "versions",
    cls=LaterGroup,
    commands_later={"train": "cli.training.training:train_command"},
)
def versions() -> None:
    """Manage model versions. VERSION is an id, or PROJECT/VIEW/NAME."""


versions.add_command(test_set.order_command)
versions.add_command(test_set.list_command)
versions.add_command(adopt_command)
versions.add_command(thresholds_command)
versions.add_command(source_command)


@versions.command("list")
@click.argument("view", required=False)
@click.option("--project", help="Only versions of this project, by its name or id.")
@click.option("--status", help="Only versions with this status, such as ready or training.")
@click.option("--architecture", help="Only versions of this architecture.")
@click.option("--name", help="Only those whose name contains this text.")
@click.option("--archived", is_flag=True, help="Include archived ones.")
@click.option("--no-trials", is_flag=True, help="Leave out the trials of experiments.")
@click.option(
    "--sort",
    type=click.Choice(
        ["newest", "oldest", "best", "name", "status", "architecture", "images", "loss"]
    ),
    default="newest", show_default=True,
)  # fmt: skip
@click.option("--limit", type=click.IntRange(1), help="The maximum number to list.")
@json_option
def list_command(
    view: str | None,
    project: str | None,
    status: str | None,
    architecture: str | None,
    name: str | None,
    archived: bool,
    no_trials: bool,
    sort: str,
    limit: int | None,
    as_json: bool,
) -> None:
    """List the versions of VIEW, an id or PROJECT/VIEW; by default those of all views."""
    given: dict[str, Any] = {
        "status": status,
        "architecture": architecture,
        "name": name,
        "archived": str(archived).lower(),
        "trials": str(not no_trials).lower(),
        "sort": sort,
        "limit": min(limit or 500, 500),
    }
    with calling(exact=as_json) as client:
        if view is not None:
            given["view_id"] = find_view(client, view)["view_id"]
        within = None if project is None else require_project(client, project)
        filters = {key: value for key, value in given.items() if value is not None}
        rows = []
        for row in client.query_all("versions", **filters):
            if within in {None, row["project_id"]}:
                rows.append(row)
            if len(rows) == limit:
                break
    columns = ("name", "status", "architecture", "indicator", "created at", "id")
    print_list(rows, columns, _row, as_json=as_json)


def _row(version: dict[str, Any]) -> tuple[str, ...]:
    indicator = version["indicator"]
    return (
        version["name"],
        version["status"],
        version["architecture"] + (" (adopted)" if version.get("adopted") else ""),
        "" if indicator is None else f"{indicator:.4f}",
        moment_of(version["created_at"]),
        version["version_id"],
    )


@versions.command("show")
@click.argument("version")
@json_option
def show_command(version: str, as_json: bool) -> None:
    """Show a version: its state, its results and its configuration."""
    with calling(exact=as_json) as client:
        row = client.query(f"versions/{find_version(client, version)}")["version"]
    if as_json:
        print_json(row)
        return
    for key in _SHOWN:
        value = row.get(key)
        if value is not None and value is not False:
            click.echo(f"{key.replace('_', ' ')}: {value}")
