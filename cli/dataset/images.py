"""`stemma images`: a project's images, through the public API."""

from itertools import islice
from typing import Any

import click

from cli.calls import calling, find_view, require_project
from cli.client import ApiClient, ApiProblem
from cli.output import json_option, print_json, print_list, print_table


@click.group("images")
def images() -> None:
    """A project's images. PROJECT is its name or id."""


@images.command("list")
@click.argument("project")
@click.option("--view", help="With the annotations of this view: an id, or PROJECT/VIEW.")
@click.option("--split", type=click.Choice(["train", "validation", "test"]))
@click.option("--concept", help="Those that hold this concept of the view, by its label or id.")
@click.option("--annotated/--not-annotated", default=None, help="By their state in the view.")
@click.option("--limit", type=click.IntRange(1), help="The most to list.")
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


@images.command("near-duplicates")
@click.argument("project")
@click.option("--distance", type=click.IntRange(0, 7), default=6, show_default=True,
              help="The most bits, of 64, in which perceptual hashes differ.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1), help="The most pairs to list.")
@click.option("--move", is_flag=True,
              help="Move each pair, what looks like it, and their groups, together.")  # fmt: skip
@click.option("--to", type=click.Choice(["train", "validation", "test"]),
              help="With --move: to this split; by default test if one is there, or else"
              " validation.")  # fmt: skip
@json_option
def near_duplicates_command(
    project: str, distance: int, limit: int | None, move: bool, to: str | None, as_json: bool
) -> None:
    """List training images of PROJECT that look like validation or test images."""
    if to is not None and not move:
        raise click.UsageError("--to says where --move goes: give --move, too")
    with calling(exact=as_json) as client:
        path = f"projects/{require_project(client, project)}/near-duplicates"
        pairs = client.query_all(path, distance=distance, limit=min(limit or 500, 500))
        rows = list(islice(pairs, limit))
        moved = _unite(client, path, rows, distance, to) if move else []
    if as_json:
        print_json({"items": rows, "moved": moved} if move else rows)
        return
    columns = ("distance", "training", "held out", "split", "training id", "held out id")
    print_table(
        columns,
        [
            (
                str(row["distance"]),
                row["train"]["file_name"],
                row["held_out"]["file_name"],
                row["held_out"]["split"],
                row["train"]["image_id"],
                row["held_out"]["image_id"],
            )
            for row in rows
        ],
    )
    for answer in moved:
        click.echo(f"{len(answer['ids']):,} images moved to {answer['split']}")


def _unite(
    client: ApiClient, path: str, rows: list[dict[str, Any]], distance: int, split: str | None
) -> list[dict[str, Any]]:
    """Move each pair that no earlier move has made whole."""
    answers: list[dict[str, Any]] = []
    done: set[str] = set()
    for row in rows:
        ids = {row["train"]["image_id"], row["held_out"]["image_id"]}
        if done & ids:
            continue
        body = {"image_id": row["train"]["image_id"], "distance": distance, "split": split}
        answer = client.command(f"{path}/assign", body)
        done |= {*ids, *answer["ids"]}
        answers += [answer] if answer["ids"] else []
    return answers


def _concept(labels: dict[str, str], concept: str | None) -> str | None:
    if concept is None or concept in labels:
        return concept
    matches = [key for key, label in labels.items() if label == concept]
    if not matches:
        raise ApiProblem(f"the view has no concept {concept!r}")
    return matches[0]
