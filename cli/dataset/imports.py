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
from stemma_client.packing import pieces_of

POLL = 0.3


@click.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--project", required=True, help="The project's name or id; a new name makes one.")
@click.option("--view", help="The view's name or id, for formats that hold one view.")
@click.option("--format", "form", default="auto", show_default=True,
              help="folders, coco, voc, yolo, csv, studio or video.")  # fmt: skip
@click.option("--kind", type=click.Choice(["classification", "tagging", "detection"]),
              help="The view's kind, where the format leaves it open.")  # fmt: skip
@click.option("--no-new-concepts", is_flag=True, help="Refuse views and concepts that are new.")
@click.option("--skip-bad", is_flag=True, help="Take what is good; report what is not.")
@click.option("--clip", is_flag=True, help="Cut boxes that reach beyond their image.")
@click.option("--unlabelled", type=click.Choice(["negative", "unannotated"]), default="negative",
              show_default=True,
              help="Images that COCO or VOC lists without annotations: without concept, or not"
              " annotated.")  # fmt: skip
@click.option("--origin", type=click.IntRange(0, 1),
              help="Where VOC's boxes count from; else as the boxes show.")  # fmt: skip
@click.option("--frame-rate", type=float, default=1.0, show_default=True,
              help="How many frames of a video are taken a second.")  # fmt: skip
@click.option("--scenes", is_flag=True, help="Of a video, the first frame of each scene.")
@click.option("--dry-run", is_flag=True, help="Change nothing; say what would happen.")
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

    Nothing is taken in if anything is wrong, unless --skip-bad. Importing again changes nothing.
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
                f"there is no project {project!r}, and a dry run makes none; make it on the page of"
                " projects, or leave --dry-run out"
            )
        if not on_server:
            _check_readable(source)
        if project_id is None:
            project_id = str(client.command("projects", {"name": project})["id"])
        path = f"projects/{project_id}/imports"
        if on_server:
            rate = None if scenes else frame_rate
            asked = parameters | {"source": str(source), "frame_rate": rate}
            answer = client.command(path, asked)
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
@click.option("--images", is_flag=True, help="With the image files.")
@click.option("--as-of", help="A past position of the log, or a time.")
def export_command(
    target: Path, project: str, form: str, views: tuple[str, ...], images: bool, as_of: str | None
) -> None:
    """Write a project's annotations to the zip archive TARGET."""
    with calling() as client:
        project_id = require_project(client, project)
        parameters: dict[str, Any] = {"format": form, "images": images}
        if views:
            rows = client.query(f"projects/{project_id}/views")["items"]
            parameters["view_id"] = [view_among(rows, view) for view in views]
        if as_of is not None:
            parameters["as_of"] = as_of
        size = client.download(f"projects/{project_id}/export", target, parameters)
    click.echo(f"wrote {target}, {size:,} bytes")


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
        would = "would be " if item["status"] == "checked" else ""
        click.echo(
            f"{item['format']}: {counts['images']:,} images read; {would}added {counts['added']:,},"
            f" annotated {counts['annotated']:,}, annotated anew {counts['reannotated']:,},"
            f" put in another split {counts['split_assigned']:,}; {would}made"
            f" {counts['views']:,} views and {counts['concepts']:,} concepts"
        )
        if counts["left_out"]:
            click.echo(f"left out: {counts['left_out']:,} images")
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
            f"all of them by place: GET /api/v1/imports/{item['import_id']}/report",
            err=True,
        )
    return 0 if item["status"] in ("completed", "checked") else 1
