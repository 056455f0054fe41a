"""`stemma projects`: list, create and rename projects, and draw their validation and test sets,
through the public API."""

from typing import Any

import click

from cli.calls import calling, require_project, view_among
from cli.output import json_option, print_list
from domain.formatting import moment_of

SPLIT_NAMES = ("train", "validation", "test")
SIZE = click.option(
    "--size", type=float, required=True,
    help="A share of the images, below 1, or a number of images.",
)  # fmt: skip
SEED = click.option(
    "--seed", type=int, default=0, show_default=True,
    help="The same seed draws the same set from the same images.",
)  # fmt: skip
STRATIFY = click.option(
    "--stratify-by", metavar="VIEW", help="Give each concept of this view about the same share."
)  # fmt: skip


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


@projects.command("draw-validation")
@click.argument("project")
@SIZE
@SEED
@STRATIFY
def draw_validation_command(project: str, size: float, seed: int, stratify_by: str | None) -> None:
    """Draw the validation set of PROJECT at random from the images outside the test set.

    A new draw replaces it: the other images are in the training set.
    """
    _draw(project, "validation-split", size, seed, stratify_by)


@projects.command("draw-test")
@click.argument("project")
@SIZE
@SEED
@STRATIFY
def draw_test_command(project: str, size: float, seed: int, stratify_by: str | None) -> None:
    """Draw the test set of PROJECT at random from the images outside the validation set.

    No version is trained or validated on it. A new draw replaces it.
    """
    _draw(project, "test-set", size, seed, stratify_by)


def _draw(project: str, path: str, size: float, seed: int, stratify_by: str | None) -> None:
    with calling() as client:
        project_id = require_project(client, project)
        view_id = None
        if stratify_by is not None:
            rows = client.query(f"projects/{project_id}/views")["items"]
            view_id = view_among(rows, stratify_by)
        body = {"size": size, "seed": seed, "stratify_by": view_id}
        position = client.command(f"projects/{project_id}/{path}", body)["position"]
        counts = client.query(f"projects/{project_id}/dataset", at_least=position)["counts"]
    click.echo(", ".join(f"{name} {counts[name]:,}" for name in SPLIT_NAMES))
