"""What a queued version waits for."""

import msgspec


class Waiting(msgspec.Struct, frozen=True):
    """What a queued version waits for, in numbers: those of all projects.

    `trainings_before` run or were queued earlier. `workers_online` is null while NATS does not
    answer.
    """

    trainings_before: int
    workers_online: int | None

    def __str__(self) -> str:
        return f"Queued: {self._trainings()} before it, {self._workers()}"

    def _trainings(self) -> str:
        count = self.trainings_before
        return f"{count or 'no'} training{'' if count == 1 else 's'}"

    def _workers(self) -> str:
        count = self.workers_online
        if count is None:
            return "and NATS does not answer: how many workers are online is unknown"
        return f"{count or 'no'} worker{'' if count == 1 else 's'} online"
