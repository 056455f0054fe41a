"""The terminal output of the demo: live progress and metrics, then the Models Library."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from cli.client import ApiClient
from domain.training.version import QUEUED
from domain.training.waiting import Waiting

_LABELS = {
    "learning_rate": "learning rate",
    "batch_loss": "total loss (batch)",
    "validation_loss": "total loss (validation)",
    "validation_accuracy": "accuracy (validation)",
    "validation_mean_average_precision": "mAP (validation)",
}


def watch(client: ApiClient, version_id: str, console: Console) -> None:
    """Show a version's progress and metrics as they happen, until its training has ended."""
    bar = Progress(
        TextColumn("{task.description:<12}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    task = bar.add_task("queued", total=1.0)
    latest: dict[str, tuple[int, float]] = {}
    waiting = ""
    group = Group(bar, _metrics_table(latest))
    with own_line_after(console), Live(group, console=console, refresh_per_second=8) as live:
        for event in client.follow(f"versions/{version_id}/events"):
            if event.event == "progress":
                progress = msgspec.json.decode(event.data)
                bar.update(task, completed=progress["progress"], description=progress["status"])
                if progress["status"] != QUEUED:
                    waiting = ""
            elif event.event == "waiting":
                waiting = _told(msgspec.json.decode(event.data, type=Waiting))
                if not console.is_terminal:
                    console.print(waiting)
            elif event.event == "metrics":
                for series in msgspec.json.decode(event.data):
                    latest[series["metric"]] = series["iterations"][-1], series["values"][-1]
            lines = [Text(waiting)] if waiting else []
            live.update(Group(bar, *lines, _metrics_table(latest)))


@contextmanager
def own_line_after(console: Console) -> Iterator[None]:
    """What was live ends without a new line where there is no terminal, also by an exception."""
    try:
        yield
    finally:
        if not console.is_terminal:
            console.print()


def _told(waiting: Waiting) -> str:
    if waiting.workers_online != 0:
        return str(waiting)
    if waiting.trainer is not None:
        return f"{waiting}; start it with `{waiting.command}`"
    return f"{waiting}: start one with `{waiting.command}`"


def _metrics_table(latest: dict[str, tuple[int, float]]) -> Table:
    table = Table("metric", "iteration", "value", min_width=50)
    for metric, label in _LABELS.items():
        if metric in latest:
            iteration, value = latest[metric]
            table.add_row(label, str(iteration), f"{value:.5g}")
    return table


def library_table(library: dict[str, Any]) -> Table:
    """A view's models and versions, as the Models Library lists them."""
    table = Table(
        "model", "version", "status", "architecture", "images", "indicator", title="Models Library"
    )
    for row in library["items"]:
        for version in row["versions"]:
            value = version["indicator"]
            table.add_row(
                row["model"]["name"],
                f"{version['number']} · {version['name']}",
                version["status"],
                version["architecture"],
                f"{version['train_images']} / {version['validation_images']}",
                "" if value is None else f"{value:.3f}",
            )
    return table
