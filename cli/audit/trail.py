"""`stemma audit trail`: events described in words, the events of a correlation, and exports."""

import os
import sys
from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from pathlib import Path
from urllib.parse import quote

import click
import msgspec

from cli.calls import PAGE, calling, find_project, find_view
from cli.client import ApiClient, ApiProblem
from cli.reading import NOT_LOOKED
from domain.audit.trail import Line
from domain.audit.trail_tree import EVENT, Node
from domain.formatting import moment
from domain.text import escaped

LINES = "lines"


@click.command("trail")
@click.option("--actor", help="The actor, as recorded.")
@click.option("--since", help="From this time on, in ISO 8601; in UTC unless it has an offset.")
@click.option("--until", help="Before this time.")
@click.option("--stream", help="The history of one entity, such as image-ID.")
@click.option("--event", help="An event's name, such as version.created.")
@click.option("--project", help="Events of a project, by its name or id.")
@click.option("--view", help="Events of a view, by its id or PROJECT/VIEW.")
@click.option("--model", help="Events of a model, by its id.")
@click.option("--version", help="Events of a version, by its id.")
@click.option(
    "--order", type=click.Choice(["newest", "oldest"]), default="newest", show_default=True
)
@click.option("--limit", type=click.IntRange(min=1), help="The maximum number of lines.")
@click.option(
    "--correlation", help="The events that the request with this correlation id caused, as a tree."
)
@click.option(
    "--format",
    "form",
    type=click.Choice([LINES, "jsonl", "csv", "parquet"]),
    default=LINES,
    show_default=True,
)
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file."
)
def trail_command(
    correlation: str | None,
    form: str,
    output: Path | None,
    limit: int | None,
    project: str | None,
    view: str | None,
    **filters: str | None,
) -> None:
    """List what happened: when, who, what, before and after."""
    if form != LINES and output is None:
        raise click.UsageError(f"--format {form} needs --output FILE")
    if form != LINES and limit is not None:
        raise click.UsageError("--limit is for lines; a file has all matching events")
    order = filters.pop("order")
    if correlation is not None:
        others = [output, limit, project, view, *filters.values()]
        if form != LINES or order != "newest" or any(others):
            raise click.UsageError(
                "--correlation cannot be combined with filters, --format or --output"
            )
        with calling(unreachable=NOT_LOOKED) as client:
            _print_tree(client, correlation)
        return
    with calling(unreachable=NOT_LOOKED) as client:
        filters["project"] = _project_id(client, project) if project else None
        filters["view"] = find_view(client, view)["view_id"] if view else None
        query = {name: value for name, value in filters.items() if value is not None}
        query["order"] = str(order)
        if form == LINES:
            _write_lines(client, query, limit, output)
        elif output is not None:
            size = client.download("audit/trail/export", output, query | {"format": form})
            click.echo(f"wrote {output}: {size:,} bytes")


def _project_id(client: ApiClient, project: str) -> str:
    project_id = find_project(client, project)
    if project_id is None:
        raise ApiProblem(f"project {project!r} not found")
    return project_id


def _write_lines(
    client: ApiClient, query: dict[str, str], limit: int | None, output: Path | None
) -> None:
    """Write each line as it arrives; the file exists only if all have arrived."""
    size = PAGE if limit is None else min(PAGE, limit)
    items = islice(client.query_all("audit/trail", **query, limit=size), limit)
    texts = (msgspec.convert(item, Line).text for item in items)
    if output is None:
        _print(texts)
        return
    partial = output.with_name(f".{output.name}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.writelines(f"{text}\n" for text in texts)
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)


def _print(texts: Iterable[str]) -> None:
    try:
        for text in texts:
            click.echo(text)
    except BrokenPipeError:
        # The reader, such as `head`, has closed the pipe; the last flush must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_tree(client: ApiClient, correlation: str) -> None:
    tree = client.query(f"audit/correlations/{quote(correlation, safe='')}", limit=10_000)
    for node in msgspec.convert(tree["nodes"], list[Node]):
        click.echo(escaped("  " * node.depth + _said(node)))
    if tree["shown"] < tree["events"]:
        click.echo(f"… and {tree['events'] - tree['shown']} more events")


def _said(node: Node) -> str:
    if node.kind == EVENT and node.line is not None:
        return node.line.text
    by = f" by {node.actor}" if node.actor else ""
    return f"{node.kind} {node.id}{by}, {_clock(node.at)}"


def _clock(at: datetime) -> str:
    return moment(at)
