"""`stemma groups`: images that belong together by a metadata key, through the public API."""

from typing import Any

import click

from cli.calls import calling, find_view, require_project
from cli.output import json_option, print_json, print_table
from domain.formatting import counted

PAGE = 500


@click.group("groups")
def groups() -> None:
    """Manage groups of images that stay in one split. PROJECT is a name or an id."""


@groups.command("list")
@click.argument("project")
@click.option("--key", help="A metadata key; by default the group key of the project.")
@click.option("--torn", is_flag=True, help="Only groups that are in several splits.")
@json_option
def list_command(project: str, key: str | None, torn: bool, as_json: bool) -> None:
    """List the groups of PROJECT and the number of their images in each split."""
    with calling(exact=as_json) as client:
        path = f"projects/{require_project(client, project)}/groups"
        parameters = {"torn": str(torn).lower()} | ({"key": key} if key else {})
        found = client.query(path, **parameters, limit=1)
        if found["key"] is None and not as_json:
            click.echo("no group key is set: each image is its own group")
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
        f"{counted(counts['groups'], 'group')}, {counts['torn']:,} in several splits; the largest"
        " has"
        f" {counted(counts['largest'], 'image')}; {counted(counts['ungrouped'], 'image')} without"
        " a group"
    )


@groups.command("set")
@click.argument("project")
@click.argument("key")
@click.option("--mend", type=click.Choice(["majority", "draw"]),
              help="What to do with groups that are in several splits: move each to the split"
                  " that has most of its images, or draw the sets again.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="The seed of the draw.")
@click.option(
    "--stratify-by", help="The view that the draw is stratified by: its id, or PROJECT/VIEW."
)
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
        f"grouped by {key}: {counted(answer['groups'], 'group')}, {answer['torn']:,} were in"
        " several splits,"
        f" {counted(answer['moved'], 'image')} moved"
    )


@groups.command("remove")
@click.argument("project")
def remove_command(project: str) -> None:
    """Remove the group key of PROJECT: each image is its own group again; no image moves."""
    with calling() as client:
        client.delete(f"projects/{require_project(client, project)}/group-key")
    click.echo("no group key is set: each image is its own group")
