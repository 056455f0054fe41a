"""`stemma projects`: list, create and rename projects, through the public API."""

from typing import Any

import click

from cli.calls import calling, require_project
from cli.output import json_option, print_list
from domain.formatting import moment_of


@click.group("projects")
def projects() -> None:
    """Manage projects. PROJECT is a name or an id."""


@projects.command("list")
@click.option("--name", help="Only those whose name contains this text.")
@json_option
def list_command(name: str | None, as_json: bool) -> None:
    """List the projects in which you have a role, newest first."""
    given = {} if name is None else {"name": name}
    with calling(exact=as_json) as client:
        rows = list(client.query_all("projects", limit=500, **given))
    print_list(rows, ("name", "created at", "id"), _row, as_json=as_json)


def _row(project: dict[str, Any]) -> tuple[str, ...]:
    return project["name"], moment_of(project["created_at"]), project["project_id"]


@projects.command("create")
@click.argument("name")
def create_command(name: str) -> None:
    """Create the project NAME and print its id."""
    with calling() as client:
        click.echo(client.command("projects", {"name": name})["id"])


@projects.command("rename")
@click.argument("project")
@click.argument("name")
def rename_command(project: str, name: str) -> None:
    """Rename PROJECT."""
    with calling() as client:
        client.change(f"projects/{require_project(client, project)}", {"name": name})
    click.echo(f"renamed to {name}")
