"""`stemma images`: a project's images, through the public API."""

from itertools import islice
from pathlib import Path
from typing import Any

import click

from cli.calls import calling, find_view, require_project
from cli.client import ApiClient, ApiProblem
from cli.image_files import download_images
from cli.output import json_option, print_json, print_list, print_table
from domain.formatting import counted
from domain.text import escaped


@click.group("images")
def images() -> None:
    """List a project's images. PROJECT is a name or an id."""


@images.command("list")
@click.argument("project")
@click.option("--view", help="Include the annotations in this view: its id, or PROJECT/VIEW.")
@click.option("--split", type=click.Choice(["train", "validation", "test"]))
@click.option("--concept", help="Only those with this concept of the view, by its label or id.")
@click.option(
    "--annotated/--not-annotated",
    default=None,
    help="Only those annotated, or not annotated, in the view.",
)
@click.option(
    "--metadata", metavar="KEY=VALUE", help="Only those with this value of a metadata key."
)
@click.option("--limit", type=click.IntRange(1), help="The maximum number to list.")
@click.option("--download", type=click.Path(path_type=Path, file_okay=False),
              help="Also write the files of the listed images to this folder.")  # fmt: skip
@json_option
def list_command(
    project: str,
    view: str | None,
    split: str | None,
    concept: str | None,
    annotated: bool | None,
    metadata: str | None,
    limit: int | None,
    download: Path | None,
    as_json: bool,
) -> None:
    """List the images of PROJECT in the order in which they were added."""
    if view is None and (concept is not None or annotated is not None):
        raise click.UsageError("--concept and --annotated need a view: give --view")
    key, separator, value = (metadata or "").partition("=")
    if metadata is not None and not separator:
        raise click.UsageError(f"--metadata is KEY=VALUE, got {metadata!r}")
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
            if metadata is not None and row["metadata"].get(key) != value:
                continue
            rows.append(row)
            if len(rows) == limit:
                break
        if download is not None:
            missing = download_images(client, [row["image_id"] for row in rows], download)
            for image_id, reason in missing:
                click.echo(f"image {image_id} not found: {escaped(reason)}", err=True)

    def cells(image: dict[str, Any]) -> tuple[str, ...]:
        held = [labels.get(each["concept_id"], "") for each in image["annotations"]]
        size = f"{image['width']} x {image['height']}"
        return image["file_name"], image["split"], size, ", ".join(held), image["image_id"]

    print_list(rows, ("file", "split", "pixels", "concepts", "id"), cells, as_json=as_json)


@images.command("near-duplicates")
@click.argument("project")
@click.option("--distance", type=click.IntRange(0, 7), default=6, show_default=True,
              help="The maximum number of the 64 bits in which the perceptual hashes"
                  " differ.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1), help="The maximum number of pairs to list.")
@click.option("--move", is_flag=True,
              help="Move the images of each pair to one split, with images that look like them"
                  " and their groups.")  # fmt: skip
@click.option("--to", type=click.Choice(["train", "validation", "test"]),
              help="The split for --move; by default test if one of the images is in it, else"
                  " validation.")  # fmt: skip
@json_option
def near_duplicates_command(
    project: str, distance: int, limit: int | None, move: bool, to: str | None, as_json: bool
) -> None:
    """List training images of PROJECT that look like validation or test images."""
    if to is not None and not move:
        raise click.UsageError("--to needs --move")
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
        click.echo(f"{counted(len(answer['ids']), 'image')} moved to {answer['split']}")


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
