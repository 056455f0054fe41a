"""How far read models are that are being built, with events a second and the time left."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from adapters.postgres.builders import ReportProgress
from projections.engine.read_model import ReadModel
from projections.registry import READ_MODELS


class _EventsASecond(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f} events/s")


@contextmanager
def watched() -> Iterator[ReportProgress]:
    """A bar for each read model, in a terminal. Ctrl-C, or being asked to end, cancels the work.

    That waits until the work looks up, or ends: an exception at any other point might leave a lock
    held that the end of the work waits for.
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
        tasks = {}
        asked = Event()

        def watch(found: Sequence[tuple[str, int]], end: int) -> None:
            if asked.is_set():
                raise KeyboardInterrupt
            for name, position in found:
                if name not in tasks:
                    tasks[name] = bars.add_task(name, total=end)
                bars.update(tasks[name], completed=position)

        former = {
            number: signal.signal(number, lambda *_: asked.set())
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield watch
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)
        if asked.is_set():
            raise KeyboardInterrupt


def chosen(names: Sequence[str]) -> list[ReadModel]:
    """The read models so named; all, if none is. Raises `BadParameter` for one there is not."""
    known = {model.name: model for model in READ_MODELS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}: choose from {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)] or list(READ_MODELS)
