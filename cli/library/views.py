"""`stemma views`: list, rename, archive and restore a project's views, through the public API."""

import click
from rich.console import Console
from rich.table import Table

from cli.calls import calling, find_view, require_project


@click.group("views")
def views() -> None:
    """The views of a project. VIEW is an id, or PROJECT/VIEW by their names."""


@views.command("list")
@click.argument("project")
@click.option("--archived", is_flag=True, help="Archived ones, too.")
def list_command(project: str, archived: bool) -> None:
    """List the views of PROJECT, by its name or id."""
    with calling() as client:
        project_id = require_project(client, project)
        rows = client.query(f"projects/{project_id}/views", archived=str(archived).lower())["items"]
    table = Table()
    for name in ("name", "kind", "concepts", "id"):
        table.add_column(name, overflow="fold")
    for row in rows:
        name = row["name"] + (" (archived)" if row["archived"] else "")
        table.add_row(name, row["kind"], str(len(row["concepts"])), row["view_id"])
    Console().print(table)


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
