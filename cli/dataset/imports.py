"""`stemma import`, `stemma export`, through the public API."""

import sys
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cli.calls import calling, find_project, require_project, view_among
from cli.client import ApiClient, ApiProblem
from domain.formatting import counted
from stemma_client.packing import pieces_of

POLL = 0.3


@click.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--project", required=True, help="The project's name or id; a new name creates a project."
)
@click.option("--view", help="The view's name or id, for formats that hold one view.")
@click.option("--format", "form", default="auto", show_default=True,
              help="folders, coco, voc, yolo, csv, studio or video.")  # fmt: skip
@click.option("--kind", type=click.Choice(["classification", "tagging", "detection"]),
              help="The view's kind, if the format does not define it.")  # fmt: skip
@click.option("--no-new-concepts", is_flag=True, help="Refuse views and concepts that are new.")
@click.option("--skip-bad", is_flag=True, help="Import what is valid; report the rest.")
@click.option("--clip", is_flag=True, help="Cut boxes that reach beyond their image.")
@click.option("--unlabelled", type=click.Choice(["negative", "unannotated"]), default="negative",
              show_default=True,
              help="Images that COCO or VOC lists without annotations: without concept, or not"
              " annotated.")  # fmt: skip
@click.option("--origin", type=click.IntRange(0, 1),
              help="The lowest coordinate in VOC boxes; by default as found.")  # fmt: skip
@click.option("--frame-rate", type=float, default=1.0, show_default=True,
              help="Frames to take from each second of a video.")  # fmt: skip
@click.option("--scenes", is_flag=True, help="Take only the first frame of each scene of a video.")
@click.option("--dry-run", is_flag=True, help="Change nothing; show what would change.")
@click.option("--on-server", is_flag=True, help="SOURCE is a path on the server.")
def import_command(
    source: Path,
    project: str,
    view: str | None,
    form: str,
    kind: str | None,
    no_new_concepts: bool,
    skip_bad: bool,
    clip: bool,
    unlabelled: str,
    origin: int | None,
    frame_rate: float,
    scenes: bool,
    dry_run: bool,
    on_server: bool,
) -> None:
    """Import a folder or archive of images and annotations, or the frames of a video.

    If a file or line is wrong, nothing is imported, unless --skip-bad is given. Importing the same
    source again changes nothing.
    """
    parameters = {
        "view": view,
        "format": form,
        "kind": kind,
        "new_concepts": not no_new_concepts,
        "skip_bad": skip_bad,
        "clip": clip,
        "unlabelled": unlabelled,
        "origin": origin,
        "dry_run": dry_run,
    }
    with calling() as client:
        project_id = find_project(client, project)
        if project_id is None and dry_run:
            raise ApiProblem(
                f"project {project!r} not found, and a dry run creates none; create it with"
                " `stemma projects create`, or omit --dry-run"
            )
        if not on_server:
            _check_readable(source)
        if project_id is None:
            project_id = str(client.command("projects", {"name": project})["id"])
        path = f"projects/{project_id}/imports"
        if on_server:
            rate = None if scenes else frame_rate
            request = parameters | {"source": str(source), "frame_rate": rate}
            answer = client.command(path, request)
        else:
            answer = client.send_body(
                f"{path}/upload",
                lambda: pieces_of(source),
                parameters
                | {"name": source.resolve().name, "frame_rate": frame_rate, "scenes": scenes},
            )
        sys.exit(_follow(client, answer))


@click.command("export")
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--project", required=True, help="The project's name or id.")
@click.option("--format", "form", required=True, help="coco, voc, yolo, csv or studio.")
@click.option("--view", "views", multiple=True, help="A view's name or id; all for studio.")
@click.option("--concept", "concepts", multiple=True,
              help="Only this concept of the view, by label or id; an image with others only is"
              " without concept, or not annotated in classification. May be repeated.",
)  # fmt: skip
@click.option("--images", is_flag=True, help="Include the image files.")
@click.option("--as-of", help="A past position of the log, or a time.")
def export_command(
    target: Path,
    project: str,
    form: str,
    views: tuple[str, ...],
    concepts: tuple[str, ...],
    images: bool,
    as_of: str | None,
) -> None:
    """Write a project's annotations to the zip archive TARGET."""
    with calling() as client:
        project_id = require_project(client, project)
        parameters: dict[str, Any] = {"format": form, "images": images}
        if views:
            rows = client.query(f"projects/{project_id}/views")["items"]
            parameters["view_id"] = [view_among(rows, view) for view in views]
        if concepts:
            if len(views) != 1:
                raise ApiProblem("--concept needs the view of the concepts: give one --view")
            (view_id,) = parameters["view_id"]
            row = next(row for row in rows if row["view_id"] == view_id)
            parameters["concept_id"] = [_concept_id(row, concept) for concept in concepts]
        if as_of is not None:
            parameters["as_of"] = as_of
        size = client.download(f"projects/{project_id}/export", target, parameters)
    click.echo(f"wrote {target}, {size:,} bytes")


def _concept_id(view: dict[str, Any], concept: str) -> str:
    """The id of a concept by its label or id. Raises `ApiProblem`."""
    for row in view["concepts"]:
        if concept in (row["concept_id"], row["label"]):
            return str(row["concept_id"])
    labels = ", ".join(repr(row["label"]) for row in view["concepts"])
    raise ApiProblem(f"view {view['name']!r} has no concept {concept!r}; it has {labels}")


def _check_readable(source: Path) -> None:
    try:
        if source.is_dir():
            next(source.iterdir(), None)
        else:
            source.open("rb").close()
    except OSError as error:
        raise ApiProblem(f"{source} cannot be read: {error.strerror}") from error


def _follow(client: ApiClient, answer: dict[str, Any]) -> int:
    """Show the progress of an import until its end; returns the exit status."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    path, position = f"imports/{answer['id']}", answer["position"]
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("waiting", total=None)
        while (state := client.query(path, at_least=position))["item"]["status"] == "requested":
            if at := state["progress"]:
                bar.update(task, description=at["phase"], completed=at["done"], total=at["total"])
            time.sleep(POLL)
    return _print_result(state["item"])


def _print_result(item: dict[str, Any]) -> int:
    counts = item["counts"] or {}
    if item["status"] in ("completed", "checked"):
        click.echo(_summary(item["format"], counts, dry_run=item["status"] == "checked"))
        if counts["left_out"]:
            click.echo(f"left out: {counted(counts['left_out'], 'image')}")
        for remark in item["summary"]:
            click.echo(f"  {remark['text']}: {remark['count']:,}")
    else:
        click.echo(f"{item['status']}: {item['reason']}", err=True)
        for problem in item["first"]:
            click.echo(f"  {problem['where']}: {problem['reason']}", err=True)
        if item["problems"] > len(item["first"]):
            click.echo(f"  … and {item['problems'] - len(item['first']):,} more", err=True)
    if item["report"]:
        click.echo(
            f"full report, by file and line: GET /api/v1/imports/{item['import_id']}/report",
            err=True,
        )
    return 0 if item["status"] in ("completed", "checked") else 1


def _summary(form: str, counts: dict[str, int], *, dry_run: bool) -> str:
    """What an import changed, or would change, in a line."""
    would = "would be " if dry_run else ""
    return (
        f"{form}: {counted(counts['images'], 'image')} read; {would}added {counts['added']:,},"
        f" annotated {counts['annotated']:,}, annotated again {counts['reannotated']:,},"
        f" moved to another split {counts['split_assigned']:,}; {would}created"
        f" {counted(counts['views'], 'view')} and {counted(counts['concepts'], 'concept')}"
    )
