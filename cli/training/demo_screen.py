"""The terminal output of the demo: live progress and metrics, then the Models Library."""

import json
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from cli.client import ApiClient

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
    with Live(Group(bar, _metrics_table(latest)), console=console, refresh_per_second=8) as live:
        for event in client.follow(f"versions/{version_id}/events"):
            if event.event == "progress":
                progress = json.loads(event.data)
                bar.update(task, completed=progress["progress"], description=progress["status"])
            elif event.event == "metrics":
                for series in json.loads(event.data):
                    latest[series["metric"]] = series["iterations"][-1], series["values"][-1]
            live.update(Group(bar, _metrics_table(latest)))


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
