"""`stemma accounts`: accounts and their roles, through the API."""

import json
from pathlib import Path
from typing import Any

import click

from cli.calls import calling, find_project
from cli.client import ApiClient, ApiProblem
from cli.image_files import download_images
from cli.output import json_option, print_list
from domain.access.account import account_id
from domain.access.roles import Role
from domain.formatting import counted
from domain.text import escaped

_name = click.argument("name")
_role = click.argument("role", type=click.Choice([str(role) for role in Role]))
_project = click.option("--project", help="In this project, by name or id; by default in all.")


@click.group()
def accounts() -> None:
    """Manage the accounts of people and services, and their roles."""


@accounts.command("add")
@_name
@click.option("--service", is_flag=True, help="For a service instead of a person.")
@click.option("--email", help="Only administrators of all projects see it.")
def add_command(name: str, service: bool, email: str | None) -> None:
    """Open the account NAME. Every action of the account is recorded under this name."""
    kind = "service" if service else "person"
    with calling() as client:
        client.command("accounts", {"name": name, "kind": kind, "email": email})
    click.echo(f"account {name} is open; it has no rights until it is granted a role")


@accounts.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List the accounts and roles that you may see."""
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


@accounts.command("export")
@_name
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--images", is_flag=True, help="Include the files of the images that it added.")
def export_command(name: str, folder: Path, images: bool) -> None:
    """Write what is stored about the account NAME to FOLDER, such as for a request of its owner.

    `account.json` has the account and its roles, `actions.jsonl` each of its actions as on the
    audit trail, and `images.txt` the ids of the images that it added. Images in which the person is
    seen are found by their metadata: see `stemma images list --metadata`.
    """
    with calling(exact=True) as client:
        account = _account(client, name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "account.json").write_text(json.dumps(account, indent=2) + "\n")
        path = folder / "actions.jsonl"
        client.download("audit/trail/export", path, {"actor": account["name"], "format": "jsonl"})
        with path.open(encoding="utf-8") as lines:
            actions = [json.loads(line) for line in lines]
        ids = sorted(
            {
                line["stream"].removeprefix("image-")
                for line in actions
                if line["event"] == "image.added"
            }
        )
        (folder / "images.txt").write_text("".join(f"{image_id}\n" for image_id in ids))
        gone = download_images(client, ids, folder / "images") if images else []
    click.echo(f"wrote {folder}: {counted(len(actions), 'action')}, {counted(len(ids), 'image')}")
    for image_id, reason in gone:
        click.echo(f"  image {image_id} not found: {escaped(reason)}", err=True)


def _account(client: ApiClient, name: str) -> dict[str, Any]:
    """The account with a name, in any case. Raises `ApiProblem`."""
    wanted = account_id(name)
    for row in client.query_all("accounts", limit=500):
        if row["account_id"] == wanted:
            return row
    raise ApiProblem(f"account {name!r} not found")


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
    """Withdraw a role from the account NAME."""
    with calling() as client:
        where = _project_id(client, project)
        client.delete(f"accounts/{account_id(name)}/roles/{role}", project_id=where)
    click.echo(f"account {name} is not {role} in {project or 'all projects'} any longer")


@accounts.command("close")
@_name
def close_command(name: str) -> None:
    """Close the account NAME permanently: its keys are no longer valid."""
    with calling() as client:
        client.delete(f"accounts/{account_id(name)}")
    click.echo(f"account {name} is closed")


def _project_id(client: ApiClient, project: str | None) -> str | None:
    if project is None:
        return None
    project_id = find_project(client, project)
    if project_id is None:
        raise ApiProblem(f"project {project!r} not found")
    return project_id
