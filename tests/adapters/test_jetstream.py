"""Tasks that use NATS are ended for good."""

import asyncio

import pytest

from adapters.jetstream import end_tasks, run_together


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


def test_what_runs_beside_a_failure_is_ended_though_its_cancellation_is_dropped() -> None:
    """As `asyncio.wait_for` of Python 3.11 does where an answer comes just after it: policies
    hung so when the answers to two look-ups came together, one of them that a stream is gone."""
    answers: list[asyncio.Future[None]] = []
    ended = False

    async def look_up(place: int) -> None:
        await asyncio.wait_for(answers[place], 10)

    async def finds_it_gone() -> None:
        await look_up(0)
        raise LookupError("the stream is gone")

    async def goes_on() -> None:
        nonlocal ended
        await look_up(1)
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            ended = True
            raise

    async def scenario() -> None:
        answers[:] = [asyncio.Future(), asyncio.Future()]
        both = asyncio.ensure_future(run_together(finds_it_gone(), goes_on()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        answers[0].set_result(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        answers[1].set_result(None)
        with pytest.raises(LookupError, match="gone"):
            await both

    asyncio.run(scenario())
    assert ended
