"""The terminal output of experiments: live progress, and a table of trials."""

from typing import Any

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from cli.client import ApiClient
from cli.training.demo_screen import own_line_after
from domain.formatting import counted, estimate

OBJECTIVES = {
    "validation_accuracy": "accuracy",
    "validation_mean_average_precision": "mAP",
}
_SHOWN = 12


def watch_experiment(client: ApiClient, experiment_id: str, console: Console) -> dict[str, Any]:
    """Show an experiment's progress and its best trials until it has ended; what it is then."""
    bar = Progress(
        TextColumn("{task.description:<24}"), BarColumn(), TaskProgressColumn(), console=console
    )
    task = bar.add_task("queued", total=1.0)
    row: dict[str, Any] = client.query(f"experiments/{experiment_id}")["experiment"]
    with own_line_after(console), Live(Group(bar), console=console, refresh_per_second=4) as live:
        for event in client.follow(f"experiments/{experiment_id}/events"):
            if event.event != "experiment":
                continue
            row = msgspec.json.decode(event.data)
            bar.update(task, completed=row["progress"], description=_description(row))
            path = f"experiments/{experiment_id}/trials"
            trials = client.query(path, sort="best")["items"][:_SHOWN]
            live.update(Group(bar, trials_table(trials)))
    return row


def _description(row: dict[str, Any]) -> str:
    counts, left = row["counts"], row["seconds_left"]
    done = counts["completed"] + counts["pruned"] + counts["failed"]
    time_left = "" if left is None else f", about {estimate(left)} left"
    return f"{done} of {counted(row['budget'], 'trial')}{time_left}"


def best_in_words(row: dict[str, Any]) -> str:
    """The best trial so far, by number and value."""
    best = row["best"]
    if best is None:
        return "no trial has completed"
    return f"trial {best['number']}, {OBJECTIVES[row['objective']]} {best['value']:.4f}"


def trials_table(trials: list[dict[str, Any]]) -> Table:
    """Trials with what was chosen for them."""
    table = Table("trial", "status", "value", "loss", "chosen", "parameters")
    table.add_column("version", no_wrap=True, min_width=36)
    for trial in trials:
        value, loss = trial["value"], trial["validation_loss"]
        table.add_row(
            str(trial["number"]),
            trial["status"],
            "" if value is None else f"{value:.4f}",
            "" if loss is None else f"{loss:.4g}",
            trial["sampler"],
            ", ".join(f"{key} {_plain(each)}" for key, each in trial["parameters"].items()),
            trial["version_id"],
        )
    return table


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
