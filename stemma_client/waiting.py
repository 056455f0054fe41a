"""Waiting for what runs on the server: trainings, imports, experiments."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Protocol, TypeVar

from stemma_client.errors import Unreachable, WaitTimeout

LOOK_SECONDS = 20.0
"""How long the server holds an answer until the requested run has ended."""
BAR_SECONDS = 1.0
"""The same where progress is shown, or where another one may end first."""

LOOKS_PER_SECOND = 10
"""The most requests per second, for any number of runs."""


class Waits(Protocol):
    """Something that runs on the server and ends."""

    @property
    def name(self) -> str: ...

    @property
    def ended(self) -> bool: ...

    @property
    def progress(self) -> float: ...

    def look(self, seconds: float = 0, *, patience: float | None = None) -> None:
        """Read it again, as soon as it has ended or after some seconds; `patience` is that of the
        client, or less."""


W = TypeVar("W", bound=Waits)


def wait_for(runs: Sequence[W], *, timeout: float | None, bar: bool | None) -> W:
    """The first of them that has ended. Raises `WaitTimeout`.

    A lost connection loses nothing: the request is repeated. An interrupt (Ctrl-C) ends the wait;
    what it waited for continues.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    shown = Bar(runs) if (_is_watched() if bar is None else bar) else None
    first = LOOK_SECONDS if shown is None and len(runs) == 1 else BAR_SECONDS
    first = min(LOOK_SECONDS, max(first, len(runs) / LOOKS_PER_SECOND))
    try:
        while True:
            for place, run in enumerate(runs):
                left = LOOK_SECONDS if deadline is None else deadline - time.monotonic()
                # Held at the first of them; the others are only looked at.
                if not run.ended:
                    _look(run, max(0.0, min(first, left)) if place == 0 else 0.0, deadline)
                if shown is not None:
                    shown.draw()
                if run.ended:
                    return run
            if deadline is not None and time.monotonic() >= deadline:
                raise WaitTimeout(
                    f"after {timeout:g} s this has not ended and continues: {_names(runs)}; wait"
                    " again"
                )
    except Unreachable as error:
        if deadline is None or time.monotonic() < deadline:
            raise
        raise WaitTimeout(f"after {timeout:g} s {_names(runs)}: {error}") from error
    except KeyboardInterrupt:
        print(
            f"interrupted; this continues on the server: {_names(runs)}; wait again, or stop it",
            file=sys.stderr,
        )
        raise
    finally:
        if shown is not None:
            shown.close()


def _look(run: Waits, seconds: float, deadline: float | None) -> None:
    """Look at a run, and try again no longer than until the deadline."""
    if deadline is None:
        run.look(seconds)
    else:
        run.look(seconds, patience=max(0.0, deadline - time.monotonic()))


def _is_watched() -> bool:
    """Whether somebody looks: in a terminal, or in a notebook."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules


def _names(runs: Sequence[Waits]) -> str:
    return ", ".join(repr(run.name) for run in runs)


class Bar:
    """A line on standard error with the progress."""

    WIDTH = 30

    def __init__(self, runs: Sequence[Waits]) -> None:
        self._runs = runs
        self.draw()

    def draw(self) -> None:
        """Redraw the line."""
        share = sum(1.0 if run.ended else run.progress or 0.0 for run in self._runs) / len(
            self._runs
        )
        filled = round(share * self.WIDTH)
        bar = "#" * filled + "." * (self.WIDTH - filled)
        print(f"\r[{bar}] {share:4.0%} {_names(self._runs)}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        """End the line."""
        print(file=sys.stderr)
