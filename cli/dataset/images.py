"""`stemma images`: a project's images, through the public API."""

from typing import Any

import click

from cli.calls import calling, find_view, require_project
from cli.client import ApiProblem
from cli.output import json_option, print_list


@click.group("images")
def images() -> None:
    """A project's images. PROJECT is its name or id."""


@images.command("list")
@click.argument("project")
@click.option("--view", help="With the annotations of this view: an id, or PROJECT/VIEW.")
@click.option("--split", type=click.Choice(["train", "validation", "test"]))
@click.option("--concept", help="Those that hold this concept of the view, by its label or id.")
@click.option("--annotated/--not-annotated", default=None, help="By their state in the view.")
@click.option("--limit", type=click.IntRange(1), help="At most so many.")
@json_option
def list_command(
    project: str,
    view: str | None,
    split: str | None,
    concept: str | None,
    annotated: bool | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """List the images of PROJECT in the order in which they were added."""
    if view is None and (concept is not None or annotated is not None):
        raise click.UsageError("annotations are those of a view: give --view")
    given: dict[str, Any] = {
        "split": split,
        "annotated": None if annotated is None else str(annotated).lower(),
        "limit": min(limit or 500, 500),
    }
    labels: dict[str, str] = {}
    with calling(exact=as_json) as client:
        if view is not None:
            row = find_view(client, view)
            labels = {each["concept_id"]: each["label"] for each in row["concepts"]}
            given |= {"view_id": row["view_id"], "concept_id": _concept(labels, concept)}
        path = f"projects/{require_project(client, project)}/images"
        filters = {key: value for key, value in given.items() if value is not None}
        rows = []
        for row in client.query_all(path, **filters):
            rows.append(row)
            if len(rows) == limit:
                break

    def cells(image: dict[str, Any]) -> tuple[str, ...]:
        held = [labels.get(each["concept_id"], "") for each in image["annotations"]]
        size = f"{image['width']} x {image['height']}"
        return image["file_name"], image["split"], size, ", ".join(held), image["image_id"]

    print_list(rows, ("file", "split", "pixels", "concepts", "id"), cells, as_json=as_json)


def _concept(labels: dict[str, str], concept: str | None) -> str | None:
    if concept is None or concept in labels:
        return concept
    matches = [key for key, label in labels.items() if label == concept]
    if not matches:
        raise ApiProblem(f"the view has no concept {concept!r}")
    return matches[0]
