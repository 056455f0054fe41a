"""`stemma views`: list, create, change and archive a project's views, through the public API."""

from typing import Any

import click

from cli.calls import calling, find_view, require_project, view_among
from cli.client import ApiProblem
from cli.library.agreement import agreement_command
from cli.library.dataset import dataset_command
from cli.output import json_option, print_list


@click.group("views")
def views() -> None:
    """Manage the views of a project. VIEW is an id, or PROJECT/VIEW by their names."""


views.add_command(agreement_command)
views.add_command(dataset_command)


@views.command("list")
@click.argument("project")
@click.option("--archived", is_flag=True, help="Include archived ones.")
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


when_option = click.option(
    "--when", "groups", multiple=True,
    help="Concepts of the parent, by label or id, separated by commas: items that have all of"
        " them. May be repeated: items that match any of the groups.",
)  # fmt: skip


@views.command("create")
@click.argument("project")
@click.argument("name")
@click.option("--kind", required=True, help="classification, tagging or detection.")
@click.option("--parent", help="The parent view, by its name or id.")
@when_option
def create_command(
    project: str, name: str, kind: str, parent: str | None, groups: tuple[str, ...]
) -> None:
    """Create a view in PROJECT. With --parent, its items are the parent's images with the concepts
    in --when; for a detection parent, a crop for each such box."""
    with calling() as client:
        project_id = require_project(client, project)
        body: dict[str, Any] = {"name": name, "kind": kind}
        if parent is not None:
            rows = client.query(f"projects/{project_id}/views")["items"]
            parent_id = view_among(rows, parent)
            row = next(row for row in rows if row["view_id"] == parent_id)
            body |= {"parent_id": parent_id, "conditions": _conditions(row, groups)}
        elif groups:
            raise ApiProblem("--when needs a parent view: give --parent")
        created = client.command(f"projects/{project_id}/views", body)
    click.echo(f"created {name}: {created['id']}")


@views.command("conditions")
@click.argument("view")
@when_option
def conditions_command(view: str, groups: tuple[str, ...]) -> None:
    """Choose other items of the parent of VIEW, a child view."""
    with calling() as client:
        row = find_view(client, view)
        if row["parent_id"] is None:
            raise ApiProblem(f"view {row['name']!r} has no parent")
        parent = find_view(client, row["parent_id"])
        body = {"conditions": _conditions(parent, groups)}
        client.put(f"views/{row['view_id']}/conditions", body)
    click.echo(f"changed the conditions of {row['name']}")


def _conditions(parent: dict[str, Any], groups: tuple[str, ...]) -> list[list[str]]:
    """Groups of concept ids, from groups of labels or ids. Raises `ApiProblem`."""
    known = {concept["label"]: concept["concept_id"] for concept in parent["concepts"]}
    known |= {concept_id: concept_id for concept_id in known.values()}
    conditions = []
    for group in groups:
        words = [word.strip() for word in group.split(",")]
        for word in words:
            if word not in known:
                raise ApiProblem(f"view {parent['name']!r} has no concept {word!r}")
        conditions.append([known[word] for word in words])
    return conditions


@views.command("rename")
@click.argument("view")
@click.argument("name")
def rename_command(view: str, name: str) -> None:
    """Rename VIEW."""
    with calling() as client:
        client.change(f"views/{find_view(client, view)['view_id']}", {"name": name})
    click.echo(f"renamed to {name}")


@views.command("archive")
@click.argument("view")
def archive_command(view: str) -> None:
    """Archive VIEW: it is no longer listed, and nothing can be annotated or trained in it. Nothing
    is deleted."""
    with calling() as client:
        row = find_view(client, view)
        client.delete(f"views/{row['view_id']}")
    click.echo(f"archived {row['name']}; `stemma views restore {row['view_id']}` undoes it")


@views.command("restore")
@click.argument("view")
def restore_command(view: str) -> None:
    """Restore VIEW after it was archived."""
    with calling() as client:
        row = find_view(client, view, archived=True)
        client.command(f"views/{row['view_id']}/restore", None)
    click.echo(f"restored {row['name']}")
