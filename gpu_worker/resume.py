"""Resumable checkpoints of a training: where they are stored, and which one a delivery resumes.

Each delivery of a job writes under its own name, `resume/<version>/<attempt>-<delivery>`, and
begins by *claiming*: it copies the checkpoint that it resumes to its own name (or an empty entry,
to start from nothing). A delivery that counts as dead but still runs may continue to write under
its older name; its reports are ignored by then, so resuming its checkpoints would lose the metrics
between. The claim prevents this for later deliveries: the highest name wins.
"""

import time
from collections.abc import Callable

from adapters.blobs.blobs import BlobStore
from domain.training.messages import TrainJob
from gpu_worker.checkpoint import Frozen, Run, freeze, thaw
from gpu_worker.progress import MetricsBuffer
from gpu_worker.scratch import forget_checkpoints, resume_folder

_FROM_NOTHING = b""

# At an epoch's end a resumable checkpoint may cost this share of the time since the last one.
_CHECKPOINT_SHARE = 0.01
# The assumed cost in seconds until the first one has been written.
_CHECKPOINT_COST = 0.3


class Superseded(Exception):
    """A later delivery of the same job has begun; this one must stop."""


class ResumePoint:
    """The resumable checkpoint of one delivery of a job."""

    def __init__(self, blobs: BlobStore, job: TrainJob, delivery: int) -> None:
        self._blobs = blobs
        self._version_id = job.version_id
        self._folder = resume_folder(job.version_id)
        self._name = f"{self._folder}/{job.attempt:06}-{delivery:06}"

    def claim(self) -> Frozen | None:
        """The newest intact checkpoint of all deliveries, or None to start from nothing.

        Older ones are deleted, but not the one it came from: the copy might still be torn.
        Raises `Superseded`.
        """
        self.check()
        for name in reversed(self._blobs.list_scratch(self._folder)):
            data = self._blobs.get_scratch(name)
            frozen = thaw(data)
            if frozen is not None or data == _FROM_NOTHING:
                self._blobs.put_scratch(self._name, data)
                self._delete(keep={name, self._name})
                return frozen
        self._blobs.put_scratch(self._name, _FROM_NOTHING)
        return None

    def save(self, data: bytes) -> None:
        """Replace this delivery's checkpoint. Raises `Superseded`."""
        self.check()
        self._blobs.put_scratch(self._name, data)

    def check(self) -> None:
        """Raise `Superseded` if a later delivery has claimed."""
        names = self._blobs.list_scratch(self._folder)
        if names and names[-1] > self._name:
            raise Superseded(f"{names[-1]} has begun")

    def forget(self) -> None:
        """Delete the checkpoints of all deliveries: the training is over."""
        forget_checkpoints(self._blobs, self._version_id)

    def _delete(self, keep: set[str]) -> None:
        for name in self._blobs.list_scratch(self._folder):
            if name not in keep:
                self._blobs.delete_scratch(name)


class Checkpoints:
    """Saves a run's resumable checkpoints, and knows when one is due."""

    def __init__(self, point: ResumePoint, flush: Callable[[], None], seconds: float) -> None:
        self._point, self._flush, self._seconds = point, flush, seconds
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
        self._point.save(data)
        self._saved_at = time.monotonic()
        self._cost = self._saved_at - started
