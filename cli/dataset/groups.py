"""`stemma groups`: images that belong together by a metadata key, through the public API."""

from typing import Any

import click

from cli.calls import calling, find_view, require_project
from cli.output import json_option, print_json, print_table

PAGE = 500


@click.group("groups")
def groups() -> None:
    """Groups of images that no split tears. PROJECT is its name or id."""


@groups.command("list")
@click.argument("project")
@click.option("--key", help="A metadata key; by default the group key of the project.")
@click.option("--torn", is_flag=True, help="Only groups that are in several splits.")
@json_option
def list_command(project: str, key: str | None, torn: bool, as_json: bool) -> None:
    """List the groups of PROJECT, and the number of their images in each split."""
    with calling(exact=as_json) as client:
        path = f"projects/{require_project(client, project)}/groups"
        parameters = {"torn": str(torn).lower()} | ({"key": key} if key else {})
        found = client.query(path, **parameters, limit=1)
        if found["key"] is None and not as_json:
            click.echo("no group key is set: each image is a group of its own")
            return
        rows = list(client.query_all(path, **parameters, limit=PAGE))
    counts = found["counts"]
    if as_json:
        print_json({"key": found["key"], "counts": counts, "items": rows})
        return
    splits = ("train", "validation", "test")
    print_table(
        (found["key"], *splits),
        [(row["value"], *(str(row[each]) for each in splits)) for row in rows],
    )
    click.echo(
        f"{counts['groups']:,} groups, {counts['torn']:,} of them torn; the largest has"
        f" {counts['largest']:,} images; {counts['ungrouped']:,} images are each their own"
    )


@groups.command("set")
@click.argument("project")
@click.argument("key")
@click.option("--mend", type=click.Choice(["majority", "draw"]),
              help="What to do with groups that splits tear: move each to the split that holds most"
              " of it, or draw the sets again.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draw.")
@click.option("--stratify-by", help="Of the draw: a view's id, or PROJECT/VIEW.")
def set_command(
    project: str, key: str, mend: str | None, seed: int, stratify_by: str | None
) -> None:
    """Group the images of PROJECT by the metadata KEY."""
    with calling() as client:
        body: dict[str, Any] = {"key": key, "mend": mend, "seed": seed}
        if stratify_by is not None:
            body["stratify_by"] = find_view(client, stratify_by)["view_id"]
        answer = client.command(f"projects/{require_project(client, project)}/group-key", body)
    click.echo(
        f"grouped by {key}: {answer['groups']:,} groups, {answer['torn']:,} were torn,"
        f" {answer['moved']:,} images moved"
    )


@groups.command("remove")
@click.argument("project")
def remove_command(project: str) -> None:
    """Let each image of PROJECT be a group of its own again; no image moves."""
    with calling() as client:
        client.delete(f"projects/{require_project(client, project)}/group-key")
    click.echo("no group key is set: each image is a group of its own")
