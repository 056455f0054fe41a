"""Resumable checkpoints of a training: when one is due, and how it is saved."""

import time
from collections.abc import Callable

from gpu_worker.checkpoint import Run, freeze
from gpu_worker.progress import MetricsBuffer

# At an epoch's end a resumable checkpoint may cost this share of the time since the last one.
_CHECKPOINT_SHARE = 0.01
# The assumed cost in seconds until the first one has been written.
_CHECKPOINT_COST = 0.3


class Checkpoints:
    """Saves a run's resumable checkpoints, and knows when one is due."""

    def __init__(
        self, save: Callable[[bytes], None], flush: Callable[[], None], seconds: float
    ) -> None:
        self._save, self._flush, self._seconds = save, flush, seconds
        self._saved_at, self._cost = time.monotonic(), _CHECKPOINT_COST

    def interval_is_over(self) -> bool:
        return time.monotonic() - self._saved_at >= self._seconds

    def costs_little(self) -> bool:
        """Whether saving one is cheap next to the time since the last."""
        return self._cost <= (time.monotonic() - self._saved_at) * _CHECKPOINT_SHARE

    def save(self, run: Run, metrics: MetricsBuffer) -> None:
        """Reports must be stored first: a run resumed from here does not repeat them."""
        started = time.monotonic()
        metrics.flush()
        data = freeze(run)
        self._flush()
        self._save(data)
        self._saved_at = time.monotonic()
        self._cost = self._saved_at - started
