"""Cancelling and stopping a job: at once, later, and whatever was cut off or killed meanwhile."""

import asyncio
import os
import signal

import msgspec
import pytest

from adapters.blobs.blobs import BlobStore
from adapters.settings import Settings
from domain.training.messages import Completed, Desired, Failed, Started
from gpu_worker import desired_state
from tests.gpu_worker.conftest import NatsServer
from tests.gpu_worker.harness import Backend, backend, child_of, children, gone, worker
from tests.gpu_worker.harness import worker_process as process
from tests.gpu_worker.samples import ITERATIONS_PER_EPOCH, coloured_job
from tests.waiting import HANG_SECONDS

LONG = 10_000.0
"""Epochs that no test waits for."""


def completed(our: Backend, version_id: str = "v1") -> Completed:
    body = our.of(version_id)[-1].body
    assert isinstance(body, Completed)
    return body


async def next_is_trained(our: Backend, blobs: BlobStore) -> None:
    await our.dispatch(coloured_job(blobs, epochs=1.0, version_id="next"))
    await our.until_end("next")
    await our.until_no_job_is_left()
    assert completed(our, "next").ended_by == "length"


def test_a_cancelled_training_ends_at_once_and_leaves_nothing(
    settings: Settings, blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what is said to the worker: it does not get to look up the wish by itself."""
    monkeypatch.setattr(desired_state, "POLL_SECONDS", 1e6)

    async def scenario() -> None:
        async with backend(settings) as our, worker(settings):
            await our.dispatch(coloured_job(blobs, epochs=LONG))
            await our.until_iteration(20)
            child = await child_of(os.getpid())
            await our.wish(Desired.CANCEL)
            await gone(child)
            await next_is_trained(our, blobs)
            assert blobs.list_scratch("resume/v1") == []
            assert not any(isinstance(report.body, Completed) for report in our.of("v1"))

    asyncio.run(scenario())


def test_a_job_cancelled_in_the_queue_is_dropped_without_a_child(
    settings: Settings, blobs: BlobStore
) -> None:
    async def scenario() -> None:
        blobs.put_scratch("resume/v1/000001-000001", b"of an earlier delivery")
        async with backend(settings) as our:
            await our.dispatch(coloured_job(blobs))
            await our.wish(Desired.CANCEL, attempt=2)
            async with worker(settings):
                await our.until_no_job_is_left()
                assert children(os.getpid()) == []
                await next_is_trained(our, blobs)
            assert our.of("v1") == []
            assert blobs.list_scratch("resume/v1") == []

    asyncio.run(scenario())


def test_a_job_whose_training_has_ended_is_acknowledged(
    settings: Settings, blobs: BlobStore
) -> None:
    """As one that was completed, and whose acknowledgement was lost."""

    async def scenario() -> None:
        async with backend(settings) as our, worker(settings):
            await our.dispatch(coloured_job(blobs), ended=True)
            await our.until_no_job_is_left()
            await next_is_trained(our, blobs)
            assert our.of("v1") == []

    asyncio.run(scenario())


def test_a_job_that_the_server_does_not_know_fails(settings: Settings, blobs: BlobStore) -> None:
    """Of an earlier attempt the report is ignored; of another server's job it is not."""

    async def scenario() -> None:
        async with backend(settings) as our, worker(settings):
            await our.dispatch(coloured_job(blobs), known=False)
            await our.until_end()
            await our.until_no_job_is_left()
        end = our.of("v1")[-1].body
        assert isinstance(end, Failed)
        assert "STEMMA_API_URL must be the server that sent the job" in end.reason

    asyncio.run(scenario())


@pytest.mark.parametrize("nats_dies", [False, True])
def test_a_worker_that_was_away_obeys_when_it_is_back(
    settings: Settings, blobs: BlobStore, nats: NatsServer, nats_dies: bool
) -> None:
    """It is frozen when the wish is written, and finds its connection gone when it wakes up."""

    async def scenario() -> None:
        async with backend(settings) as our, process(settings, "frozen") as frozen:
            await our.dispatch(coloured_job(blobs, epochs=LONG))
            await our.until_iteration(20)
            child = await child_of(frozen.pid)
            frozen.send_signal(signal.SIGSTOP)
            if nats_dies:
                nats.stop()
                nats.start()
            async with asyncio.timeout(HANG_SECONDS):
                await persistently(our)
            frozen.send_signal(signal.SIGCONT)
            await gone(child)
            await next_is_trained(our, blobs)
            assert blobs.list_scratch("resume/v1") == []

    async def persistently(our: Backend) -> None:
        while True:
            try:
                return await our.wish(Desired.CANCEL)
            except Exception:
                await asyncio.sleep(0.1)

    asyncio.run(scenario())


def test_checkpoints_that_cannot_be_deleted_yet_are_deleted_later(
    settings: Settings, blobs: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = msgspec.structs.replace(settings, api_url="http://127.0.0.1:1")

    async def scenario() -> None:
        blobs.put_scratch("resume/v1/000001-000001", b"of an earlier delivery")
        async with backend(settings) as our:
            await our.dispatch(coloured_job(blobs))
            await our.wish(Desired.CANCEL)
            told = asyncio.Event()
            monkeypatch.setattr("gpu_worker.delivery.log.exception", lambda *_: told.set())
            async with worker(broken):
                await asyncio.wait_for(told.wait(), HANG_SECONDS)
            async with worker(settings):
                await our.until_no_job_is_left()
            assert blobs.list_scratch("resume/v1") == []

    asyncio.run(scenario())


def test_a_training_that_is_stopped_early_is_completed(
    settings: Settings, blobs: BlobStore
) -> None:
    async def scenario() -> None:
        async with backend(settings) as our, worker(settings):
            await our.dispatch(coloured_job(blobs, epochs=LONG))
            await our.until_iteration(20)
            await our.wish(Desired.STOP)
            await our.until_end()
            await our.until_no_job_is_left()
            while blobs.list_scratch("resume/v1"):
                await asyncio.sleep(0.05)
        end = completed(our)
        assert end.ended_by == "stop"
        assert end.iterations % ITERATIONS_PER_EPOCH == 0
        assert end.iterations >= 20
        assert blobs.has(end.checkpoint)

    asyncio.run(scenario())


def test_the_wish_to_stop_outlives_the_child_and_the_worker(
    settings: Settings, blobs: BlobStore
) -> None:
    """Both are killed before the child has even read it; the next run ends after one epoch."""

    async def scenario() -> None:
        async with backend(settings) as our:
            await our.dispatch(coloured_job(blobs, epochs=LONG))
            async with process(settings, "first") as first:
                child = await child_of(first.pid)
                await our.wish(Desired.STOP)
                os.kill(child, signal.SIGKILL)
                await child_of(first.pid, other_than=child)
                first.kill()
            async with process(settings, "second"):
                await our.until_end()
                await our.until_no_job_is_left()
        assert our.reports[-1].worker == "second"
        assert (completed(our).ended_by, completed(our).iterations) == (
            "stop",
            ITERATIONS_PER_EPOCH,
        )

    asyncio.run(scenario())


def test_a_new_attempt_does_not_stop_for_an_old_wish(settings: Settings, blobs: BlobStore) -> None:
    async def scenario() -> None:
        async with backend(settings) as our, worker(settings):
            await our.wish(Desired.STOP, attempt=1)
            await our.dispatch(msgspec.structs.replace(coloured_job(blobs), attempt=2))
            await our.until(lambda body: isinstance(body, Started))
            await our.wish(Desired.STOP, attempt=1)
            await our.until_end()
        assert completed(our).ended_by == "length"

    asyncio.run(scenario())
