"""Losses and learning rates of steps, which are reported in chunks about once a second."""

import math
import time
from collections.abc import Callable
from typing import Any

REPORT_SECONDS = 1.0
LARGEST_CHUNK = 5_000


class NonFinite(Exception):
    """A loss or a metric is not a finite number."""


class StepBuffer:
    """The steps that are not reported yet; `reported` is the number of those before."""

    def __init__(self, report: Callable[[dict[str, Any]], None], reported: int) -> None:
        self._report = report
        self.reported = reported
        self._rates: list[float] = []
        self._losses: list[float] = []
        self._due = time.monotonic() + REPORT_SECONDS

    def add(self, loss: float, learning_rate: float) -> None:
        """Raises `NonFinite`, after the steps before it are reported."""
        loss, learning_rate = float(loss), float(learning_rate)
        if not (math.isfinite(loss) and math.isfinite(learning_rate)):
            self.flush()
            raise NonFinite(f"the loss is no longer a finite number at iteration {self.reported}")
        self._losses.append(loss)
        self._rates.append(learning_rate)
        if len(self._losses) >= LARGEST_CHUNK or time.monotonic() >= self._due:
            self.flush()

    def flush(self) -> None:
        self._due = time.monotonic() + REPORT_SECONDS
        if not self._losses:
            return
        self._report(
            {
                "report": "batch_metrics",
                "first_iteration": self.reported,
                "learning_rate": self._rates,
                "loss": self._losses,
            }
        )
        self.reported += len(self._losses)
        self._rates, self._losses = [], []
