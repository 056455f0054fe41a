"""Progress bars of read models that are being built, with events per second and the time left."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from adapters.postgres.builders import ReportProgress
from adapters.processes.signals import stopping_on_signals
from projections.engine.read_model import ReadModel
from projections.registry import READ_MODELS


class _EventsASecond(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f} events/s")


@contextmanager
def watched() -> Iterator[ReportProgress]:
    """A progress bar for each read model, in a terminal. SIGINT and SIGTERM cancel the work.

    Cancellation takes effect at the next progress report or at the end: an exception at any other
    point might leave a lock held that the end of the work waits for.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _EventsASecond(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    silent = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=silent) as bars:
        tasks: dict[str, TaskID] = {}

        def watch(positions: Sequence[tuple[str, int]], end: int) -> None:
            if cancelled.is_set():
                raise KeyboardInterrupt
            for name, position in positions:
                if name not in tasks:
                    tasks[name] = bars.add_task(name, total=end)
                bars.update(tasks[name], completed=position)

        with stopping_on_signals() as cancelled:
            yield watch
        if cancelled.is_set():
            raise KeyboardInterrupt


def chosen(names: Sequence[str]) -> list[ReadModel]:
    """The read models with these names; all, if there are no names. Raises `BadParameter`."""
    by_name = {model.name: model for model in READ_MODELS}
    unknown = [name for name in names if name not in by_name]
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}: choose from {', '.join(by_name)}")
    return [by_name[name] for name in dict.fromkeys(names)] or list(READ_MODELS)
