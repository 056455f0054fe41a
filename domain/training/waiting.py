"""What a queued version waits for."""

import msgspec

START, START_TRAINER = "stemma run worker", "python YOUR_SCRIPT.py"


def workers_of(trainer: str, count: int) -> str:
    if not count:
        return f"no worker of {trainer} is online"
    return f"{count} worker{'' if count == 1 else 's'} of {trainer} online"


class Waiting(msgspec.Struct, frozen=True):
    """What a queued version waits for, in numbers: those of all projects.

    `trainings_before` run or were queued earlier. `workers_online` is null while NATS does not
    answer. With a `trainer`, they are the workers of its queue, who alone can take the job.
    """

    trainings_before: int
    workers_online: int | None
    trainer: str | None = None

    def __str__(self) -> str:
        return f"Queued: {self._trainings()} before it, {self._workers()}"

    def _trainings(self) -> str:
        count = self.trainings_before
        return f"{count or 'no'} training{'' if count == 1 else 's'}"

    def _workers(self) -> str:
        count = self.workers_online
        if count is None:
            return "and NATS does not answer: how many workers are online is unknown"
        if self.trainer is not None:
            return workers_of(self.trainer, count)
        return f"{count or 'no'} worker{'' if count == 1 else 's'} online"

    @property
    def command(self) -> str:
        """What starts a worker that can take the job."""
        return START if self.trainer is None else START_TRAINER
