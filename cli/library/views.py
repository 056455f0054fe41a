"""`stemma views`: list, rename, archive and restore a project's views, through the public API."""

from typing import Any

import click

from cli.calls import calling, find_view, require_project
from cli.output import json_option, print_list


@click.group("views")
def views() -> None:
    """The views of a project. VIEW is an id, or PROJECT/VIEW by their names."""


@views.command("list")
@click.argument("project")
@click.option("--archived", is_flag=True, help="Archived ones, too.")
@json_option
def list_command(project: str, archived: bool, as_json: bool) -> None:
    """List the views of PROJECT, by its name or id."""
    with calling(exact=as_json) as client:
        project_id = require_project(client, project)
        rows = client.query(f"projects/{project_id}/views", archived=str(archived).lower())["items"]
    print_list(rows, ("name", "kind", "concepts", "id"), _row, as_json=as_json)


def _row(view: dict[str, Any]) -> tuple[str, ...]:
    name = view["name"] + (" (archived)" if view["archived"] else "")
    return name, view["kind"], str(len(view["concepts"])), view["view_id"]


@views.command("rename")
@click.argument("view")
@click.argument("name")
def rename_command(view: str, name: str) -> None:
    """Give VIEW another name."""
    with calling() as client:
        client.change(f"views/{find_view(client, view)['view_id']}", {"name": name})
    click.echo(f"renamed to {name}")


@views.command("archive")
@click.argument("view")
def archive_command(view: str) -> None:
    """Archive VIEW: it leaves the lists, and nothing is annotated or trained in it. Nothing is
    deleted."""
    with calling() as client:
        row = find_view(client, view)
        client.delete(f"views/{row['view_id']}")
    click.echo(f"archived {row['name']}; `stemma views restore {row['view_id']}` undoes it")


@views.command("restore")
@click.argument("view")
def restore_command(view: str) -> None:
    """Take VIEW up again after it was archived."""
    with calling() as client:
        row = find_view(client, view, archived=True)
        client.command(f"views/{row['view_id']}/restore", None)
    click.echo(f"restored {row['name']}")
