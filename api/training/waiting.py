"""What a queued version waits for: the read models know what is before it, NATS the workers."""

from api.backend import Backend
from domain.training.waiting import Waiting


async def waiting_for(backend: Backend, before: int | None) -> Waiting | None:
    """With so many trainings before it; None if it is not queued."""
    return None if before is None else Waiting(before, await backend.queue_monitor.online())
