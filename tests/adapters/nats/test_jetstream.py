"""Tasks that use NATS are ended for good; streams and consumers become what they must be."""

import asyncio
from datetime import timedelta

import pytest
from nats.js import JetStreamContext
from nats.js.api import StreamConfig

from adapters.nats.jetstream import (
    CHECKPOINTS,
    JOBS,
    REPORTS,
    end_tasks,
    ensure_job_consumer,
    ensure_streams,
    job_consumer,
    run_together,
)
from tests.adapters.running import with_js
from tests.waiting import HANG_SECONDS


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
        await asyncio.wait_for(end_tasks(task), HANG_SECONDS)
        assert task.cancelled()

    asyncio.run(scenario())
    assert dropped == 1


def test_what_runs_beside_a_failure_is_ended_though_its_cancellation_is_dropped() -> None:
    """As `asyncio.wait_for` of Python 3.11 does where an answer comes just after it: policies
    hung so when the answers to two look-ups came together, one of them that a stream is gone."""
    answers: list[asyncio.Future[None]] = []
    ended = False

    async def look_up(place: int) -> None:
        await asyncio.wait_for(answers[place], HANG_SECONDS)

    async def finds_it_gone() -> None:
        await look_up(0)
        raise LookupError("the stream is gone")

    async def goes_on() -> None:
        nonlocal ended
        await look_up(1)
        try:
            await asyncio.sleep(HANG_SECONDS)
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


def test_the_queue_consumer_follows_the_settings(nats_url: str) -> None:
    async def waits(js: JetStreamContext) -> list[float | None]:
        await ensure_streams(js)
        found = []
        for seconds in (600.0, 2.0):
            await ensure_job_consumer(js, "default", seconds)
            info = await js.consumer_info(JOBS, job_consumer("default"))
            found.append(info.config.ack_wait)
        return found

    assert with_js(nats_url, waits) == [600.0, 2.0]


def test_streams_of_an_older_stemma_keep_what_they_hold_and_take_the_subjects_of_now(
    nats_url: str,
) -> None:
    async def update(js: JetStreamContext) -> None:
        kept = timedelta(days=3).total_seconds()
        old = StreamConfig(REPORTS, subjects=["stemma.reports.*"], max_age=kept, deny_purge=True)
        await js.add_stream(old)
        await js.add_stream(StreamConfig(CHECKPOINTS, subjects=["stemma.checkpoints"]))
        await js.create_key_value(bucket="workers")
        await js.publish("stemma.reports.v1", b"old")
        for _ in range(2):
            await ensure_streams(js)
        await js.publish("stemma.reports.gpu1.v1", b"new")
        info = await js.stream_info(REPORTS)
        assert (info.state.messages, info.config.max_age) == (2, kept), "else, as it was set"
        assert (await js.stream_info(CHECKPOINTS)).config.subjects == ["stemma.*"]
        assert not (await js.stream_info("KV_workers")).config.allow_rollup_hdrs

    with_js(nats_url, update)
