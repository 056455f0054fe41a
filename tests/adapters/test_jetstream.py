"""Tasks that use NATS are ended for good."""

import asyncio

from adapters.jetstream import end_tasks


def test_a_task_that_drops_a_cancellation_is_ended_all_the_same() -> None:
    """As nats-py does while it flushes."""
    dropped = 0

    async def deaf() -> None:
        nonlocal dropped
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            dropped += 1
        await asyncio.Event().wait()

    async def scenario() -> None:
        task = asyncio.create_task(deaf())
        await asyncio.sleep(0)
        await asyncio.wait_for(end_tasks(task), 10)
        assert task.cancelled()

    asyncio.run(scenario())
    assert dropped == 1
