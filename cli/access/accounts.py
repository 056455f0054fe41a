"""`stemma accounts`: accounts and their roles, through the API."""

from typing import Any

import click

from cli.calls import calling, find_project
from cli.client import ApiClient, ApiProblem
from cli.output import json_option, print_list
from domain.access.account import account_id
from domain.access.roles import Role

_name = click.argument("name")
_role = click.argument("role", type=click.Choice([str(role) for role in Role]))
_project = click.option("--project", help="In this project, by name or id; else in all.")


@click.group()
def accounts() -> None:
    """People and services: opened, granted roles, closed."""


@accounts.command("add")
@_name
@click.option("--service", is_flag=True, help="It is a service, not a person.")
@click.option("--email", help="Only administrators of everything see it.")
def add_command(name: str, service: bool, email: str | None) -> None:
    """Open the account NAME, which is on record with all that it does."""
    kind = "service" if service else "person"
    with calling() as client:
        client.command("accounts", {"name": name, "kind": kind, "email": email})
    click.echo(f"account {name} is open; it may do nothing until it is granted a role")


@accounts.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """All accounts and their roles, as far as you may see."""
    with calling(exact=as_json) as client:
        names = {row["project_id"]: row["name"] for row in client.query_all("projects", limit=500)}
        rows = list(client.query_all("accounts", limit=500))

    def row(account: dict[str, Any]) -> tuple[str, ...]:
        roles = [
            role["role"]
            if role["project_id"] is None
            else f"{role['role']} in {names.get(role['project_id'], role['project_id'])}"
            for role in account["roles"]
        ]
        standing = "closed" if account["closed"] else ", ".join(roles) or "none"
        return account["name"], account["kind"], standing, account["email"] or ""

    print_list(rows, ("account", "kind", "roles", "e-mail"), row, as_json=as_json)


@accounts.command("grant")
@_name
@_role
@_project
def grant_command(name: str, role: str, project: str | None) -> None:
    """Give the account NAME a role."""
    with calling() as client:
        body = {"role": role, "project_id": _project_id(client, project)}
        client.command(f"accounts/{account_id(name)}/roles", body)
    click.echo(f"account {name} is {role} in {project or 'all projects'}")


@accounts.command("withdraw")
@_name
@_role
@_project
def withdraw_command(name: str, role: str, project: str | None) -> None:
    """Take a role from the account NAME."""
    with calling() as client:
        where = _project_id(client, project)
        client.delete(f"accounts/{account_id(name)}/roles/{role}", project_id=where)
    click.echo(f"account {name} is not {role} in {project or 'all projects'} any more")


@accounts.command("close")
@_name
def close_command(name: str) -> None:
    """Close the account NAME for good: its keys open nothing any more."""
    with calling() as client:
        client.delete(f"accounts/{account_id(name)}")
    click.echo(f"account {name} is closed")


def _project_id(client: ApiClient, project: str | None) -> str | None:
    if project is None:
        return None
    project_id = find_project(client, project)
    if project_id is None:
        raise ApiProblem(f"there is no project {project!r}")
    return project_id
