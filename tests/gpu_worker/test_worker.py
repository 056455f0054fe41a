"""The worker as the backend sees it: jobs in, an ordered report stream out."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from adapters.blobs.blobs import BlobStore
from adapters.nats.jetstream import JOBS, REPORTS, WORKERS_BUCKET, job_subject
from adapters.settings import Settings
from adapters.training.resume_states import ResumeStates
from domain.training.messages import Completed, Failed, Started, WorkerPresence
from tests.gpu_worker.conftest import NatsServer, Reference
from tests.gpu_worker.harness import backend, child_of, children, forking, gone, worker
from tests.gpu_worker.samples import coloured_job, final_weights, told_once
from tests.waiting import HANG_SECONDS


def test_jobs_become_ordered_reports_even_if_nats_restarts(
    settings: Settings, blobs: BlobStore, nats: NatsServer, uninterrupted: Reference
) -> None:
    """First comes what is no job, then one this worker cannot train, then one to carry out."""

    async def scenario() -> None:
        async with backend(settings) as our, worker(settings) as stop:
            await our.js.publish(job_subject("default"), b"nonsense")
            await our.dispatch(coloured_job(blobs, kind="detection", version_id="v0"))
            await our.dispatch(coloured_job(blobs))
            await our.until_end("v0")
            await our.until_iteration(1)
            workers = await our.js.key_value(WORKERS_BUCKET)
            entry = await workers.get("worker-a")
            presence = msgspec.json.decode(entry.value or b"", type=WorkerPresence)
            assert (presence.worker, presence.version_id) == ("worker-a", "v1")
            nats.stop()
            nats.start()
            await our.until_end()
            await our.until_no_job_is_left()
            stop.set()
        async with backend(settings) as our_again:
            first = await our_again.js.get_msg(REPORTS, 1)
            told = (first.headers or {})["Nats-Msg-Id"]
            assert told != our.reports[0].message_id, "another worker could guess it"
            workers = await our_again.js.key_value(WORKERS_BUCKET)
            with pytest.raises(NotFoundError):
                await workers.get("worker-a")
        failed = our.of("v0")[-1].body
        assert isinstance(failed, Failed)
        assert "does not have a box" in failed.reason
        reports = our.of("v1")
        assert [report.sequence for report in reports] == list(range(1, len(reports) + 1))
        assert {(r.attempt, r.delivery, r.worker, r.correlation_id) for r in reports} == {
            (1, 1, "worker-a", "correlation-1")
        }
        bodies = [report.body for report in reports]
        assert isinstance(bodies[0], Started)
        assert isinstance(bodies[-1], Completed)
        assert told_once(bodies)
        assert final_weights(bodies) == final_weights(uninterrupted())

    asyncio.run(scenario())


@pytest.mark.parametrize("quiet", [0.0, 600.0])
def test_a_queue_that_is_not_there_yet_is_logged_once_and_not_at_once(
    quiet: float,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("gpu_worker.worker._PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("gpu_worker.worker._FETCH_SECONDS", 0.1)
    monkeypatch.setattr("gpu_worker.worker._QUIET_SECONDS", quiet)
    caplog.set_level(logging.DEBUG, "gpu_worker.worker")
    bind = JetStreamContext.pull_subscribe_bind
    attempts = []

    async def counted(*arguments: Any, **named: Any) -> Any:
        attempts.append(named)
        return await bind(*arguments, **named)

    monkeypatch.setattr(JetStreamContext, "pull_subscribe_bind", counted)

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(HANG_SECONDS):
            while not condition():
                await asyncio.sleep(0.01)

    async def scenario() -> None:
        async with worker(settings):
            await until(lambda: len(attempts) > 20)
            if quiet:
                return
            async with backend(settings):
                await until(lambda: "jobs can be fetched again" in caplog.text)

    asyncio.run(scenario())
    warnings = [
        record
        for record in caplog.records
        if record.levelno >= logging.WARNING and "jobs cannot be fetched" in record.getMessage()
    ]
    assert (0 if quiet else 1) <= len(warnings) <= (0 if quiet else 2)


def test_the_fifth_interruption_fails_the_training(settings: Settings, blobs: BlobStore) -> None:
    # The worker is in this process: were it held up for so long, a delivery would pass unused.
    patient = msgspec.structs.replace(settings, ack_wait_seconds=20.0)

    async def scenario() -> None:
        async with backend(patient) as our, worker(patient):
            await our.dispatch(coloured_job(blobs))
            child = 0
            for _ in range(5):
                child = await child_of(os.getpid(), other_than=child)
                os.kill(child, signal.SIGKILL)
            await our.until_end()
            await our.until_no_job_is_left()
        assert not any(isinstance(report.body, Completed) for report in our.reports)
        report = our.reports[-1]
        assert isinstance(report.body, Failed)
        assert report.delivery == 5
        assert "interrupted 5 times" in report.body.reason
        assert "SIGKILL" in report.body.reason

    asyncio.run(scenario())


def test_a_job_is_trained_though_the_process_that_forks_dies_while_it_imports(
    settings: Settings, blobs: BlobStore
) -> None:
    async def scenario() -> None:
        for earlier in forking(os.getpid()):
            os.kill(earlier, signal.SIGKILL)
            await gone(earlier)
        async with backend(settings) as our, worker(settings):
            await our.dispatch(coloured_job(blobs))
            async with asyncio.timeout(HANG_SECONDS):
                while not (pids := forking(os.getpid())):
                    await asyncio.sleep(0.01)
            os.kill(pids[0], signal.SIGKILL)
            await our.until_end()
        assert isinstance(our.reports[-1].body, Completed)
        assert our.reports[-1].delivery == 2

    asyncio.run(scenario())


def test_a_job_that_five_workers_did_not_survive_is_not_tried_again(
    settings: Settings, blobs: BlobStore
) -> None:
    async def scenario() -> None:
        async with backend(settings) as our:
            await our.dispatch(coloured_job(blobs))
            taken = await our.js.pull_subscribe(
                job_subject("default"), durable="worker-default", stream=JOBS
            )
            for _ in range(5):
                (message,) = await taken.fetch(1)
                await message.nak()
            async with worker(settings):
                await our.until_end()
                assert children(os.getpid()) == []
                await our.until_no_job_is_left()
        (report,) = our.reports
        assert isinstance(report.body, Failed)
        assert report.delivery == 6

    asyncio.run(scenario())


def test_a_worker_told_to_stop_hands_its_job_back_at_once(
    settings: Settings, blobs: BlobStore
) -> None:
    patient = msgspec.structs.replace(settings, ack_wait_seconds=600.0)

    async def scenario() -> None:
        async with backend(settings) as our:
            await our.dispatch(coloured_job(blobs))
            async with worker(patient):
                child = await child_of(os.getpid())
            await gone(child)
            taken = await our.js.pull_subscribe(
                job_subject("default"), durable="worker-default", stream=JOBS
            )
            (message,) = await taken.fetch(1, timeout=HANG_SECONDS)
            assert message.metadata.num_delivered == 2
            assert ResumeStates(blobs, "v1", 1).times_handed_back("1") == 1

    asyncio.run(scenario())


def test_workers_that_are_stopped_cleanly_do_not_count(
    settings: Settings, blobs: BlobStore
) -> None:
    async def scenario() -> None:
        async with backend(settings) as our:
            await our.dispatch(coloured_job(blobs))
            taken = await our.js.pull_subscribe(
                job_subject("default"), durable="worker-default", stream=JOBS
            )
            for number in range(1, 9):
                (message,) = await taken.fetch(1)
                ResumeStates(blobs, "v1", 1).hand_back("1", number)
                await message.nak()
            async with worker(settings):
                await our.until_end()
                async with asyncio.timeout(HANG_SECONDS):
                    while ResumeStates(blobs, "v1", 1).times_handed_back("1"):
                        await asyncio.sleep(0.02)
        assert isinstance(our.reports[-1].body, Completed)
        assert our.reports[-1].delivery == 9

    asyncio.run(scenario())


def test_the_parent_never_imports_torch() -> None:
    code = "import gpu_worker.worker, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
