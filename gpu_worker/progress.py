"""Progress reports of a training: the steps of the progress bar, and metrics per iteration."""

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor

from domain.training.messages import AnyReport, BatchMetrics, StepAdvanced

Reporter = Callable[[AnyReport], None]

REPORT_SECONDS = 1.0
# Two numbers of some 20 characters each an iteration: far below the megabyte of a NATS message.
_LARGEST_CHUNK = 5_000


class NonFinite(Exception):
    """A loss, an output or a metric is not a finite number."""

    def __init__(self, what: str, where: str) -> None:
        super().__init__(f"the {what} is no longer a finite number {where}")


class Steps:
    """The progress bar: one step runs at a time, and its fraction is reported once a second."""

    def __init__(self, report: Reporter) -> None:
        self._report = report
        self._step: str | None = None
        self._fraction = 0.0
        self._reported_at = 0.0

    def start(self, step: str, fraction: float = 0.0) -> None:
        self._step = step
        self._report_step("running", fraction)

    def advance(self, fraction: float) -> None:
        if time.monotonic() - self._reported_at >= REPORT_SECONDS:
            self._report_step("running", fraction)

    def done(self) -> None:
        self._report_step("done", 1.0)
        self._step = None

    def fail(self) -> None:
        if self._step is not None:
            self._report_step("failed", self._fraction)

    def _report_step(self, status: str, fraction: float) -> None:
        assert self._step is not None
        self._fraction, self._reported_at = fraction, time.monotonic()
        self._report(StepAdvanced(step=self._step, status=status, fraction=fraction))


class MetricsBuffer:
    """Collects every iteration's metrics and reports them in chunks.

    Losses stay on the device until a flush: fetching each would make a GPU wait for Python.
    """

    def __init__(self, report: Reporter, first_iteration: int) -> None:
        self._report = report
        self._first = first_iteration
        self._rates: list[float] = []
        self._losses: list[Tensor] = []
        self._due_at = time.monotonic() + REPORT_SECONDS

    def add(self, rate: float, loss: Tensor) -> None:
        self._rates.append(rate)
        self._losses.append(loss.detach())

    def due(self) -> bool:
        return time.monotonic() >= self._due_at or len(self._rates) >= _LARGEST_CHUNK

    def flush(self) -> None:
        """Report the collected metrics. Raises `NonFinite` after the last finite loss."""
        self._due_at = time.monotonic() + REPORT_SECONDS
        if not self._rates:
            return
        losses = torch.stack(self._losses).tolist()
        finite = next((n for n, loss in enumerate(losses) if not math.isfinite(loss)), len(losses))
        if finite:
            self._report(
                BatchMetrics(self._first, tuple(self._rates[:finite]), tuple(losses[:finite]))
            )
        if finite < len(losses):
            raise NonFinite("loss", f"at iteration {self._first + finite}")
        self._first += len(losses)
        self._rates.clear()
        self._losses.clear()
