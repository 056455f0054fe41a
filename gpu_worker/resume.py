"""Where a training's resumable checkpoints lie, and which of them a new delivery goes on from.

Each delivery of a job writes under its own name, `resume/<version>/<attempt>-<delivery>`, and
begins by *claiming*: it copies the checkpoint it goes on from to its own name (or an empty entry,
to begin anew). A delivery that was given up for dead but still runs may go on writing under its
older name; its reports are ignored by then, so going on from its checkpoints would lose the
metrics between. The claim is why later deliveries never do: the highest name wins.
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
# Seconds that one is taken to cost until the first has been written.
_CHECKPOINT_COST = 0.3


class Superseded(Exception):
    """A later delivery of the same job has begun; this one's work is of no use any more."""


class ResumePoint:
    """The resumable checkpoint of one delivery of a job."""

    def __init__(self, blobs: BlobStore, job: TrainJob, delivery: int) -> None:
        self._blobs = blobs
        self._version_id = job.version_id
        self._folder = resume_folder(job.version_id)
        self._name = f"{self._folder}/{job.attempt:06}-{delivery:06}"

    def claim(self) -> Frozen | None:
        """The newest intact checkpoint of all deliveries, or None to begin from nothing.

        Older ones are deleted, but not the one it came from: the copy might yet be torn.
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

    def __init__(self, point: ResumePoint, settle: Callable[[], None], seconds: float) -> None:
        self._point, self._flush_reports, self._seconds = point, settle, seconds
        self._saved_at, self._cost = time.monotonic(), _CHECKPOINT_COST

    def interval_is_over(self) -> bool:
        return time.monotonic() - self._saved_at >= self._seconds

    def costs_little(self) -> bool:
        """Whether saving one is cheap next to the time since the last."""
        return self._cost <= (time.monotonic() - self._saved_at) * _CHECKPOINT_SHARE

    def save(self, run: Run, meter: MetricsBuffer) -> None:
        """What was reported must be safe first: a run resumed from here will not say it again."""
        started = time.monotonic()
        meter.flush()
        data = freeze(run)
        self._flush_reports()
        self._point.save(data)
        self._saved_at = time.monotonic()
        self._cost = self._saved_at - started
