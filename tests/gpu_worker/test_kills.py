"""Processes killed or frozen in mid-training: nothing is lost, and the weights are the same."""

import asyncio
import os
import re
import signal
from pathlib import Path

from adapters.blobs.blobs import BlobStore
from adapters.settings import Settings
from domain.training.messages import AnyReport, Completed, EpochItems, EpochMetrics
from tests.gpu_worker.conftest import Reference
from tests.gpu_worker.harness import Backend, backend, child_of, gone, worker_process
from tests.gpu_worker.samples import (
    accepted,
    coloured_job,
    encoded,
    figures,
    final_weights,
    of_type,
)

EPOCHS = 3.0


def check_against(reference: list[AnyReport], our: Backend) -> None:
    """The backend knows all that it would know had nothing happened."""
    bodies = accepted(our.reports)
    assert figures(bodies) == figures(reference)
    assert encoded(of_type(EpochMetrics, bodies)) == encoded(of_type(EpochMetrics, reference))
    assert final_weights(bodies) == final_weights(reference)
    assert recorded(bodies) == recorded(reference)


def recorded(bodies: list[AnyReport]) -> set[tuple[int, str]]:
    """The files of the epochs: a run that repeats one stores the same."""
    return {(body.epoch, body.items) for body in of_type(EpochItems, bodies)}


def test_killed_workers_and_children_are_followed_by_others_that_resume(
    settings: Settings, blobs: BlobStore, uninterrupted: Reference
) -> None:
    """A worker dies in the first epoch, the next one's child in the second, itself in the third."""
    reference = uninterrupted(epochs=EPOCHS, recorded_images=30)
    assert len(recorded(reference)) == EPOCHS

    async def scenario() -> None:
        async with backend(settings) as our:
            await our.dispatch(coloured_job(blobs, epochs=EPOCHS, recorded_images=30))
            async with worker_process(settings, "first") as parent:
                await our.until_iteration(2)
                child = await child_of(parent.pid)
                check_lean(parent.pid, child)
                parent.kill()
                await gone(child)
            async with worker_process(settings, "second") as parent:
                await our.until_iteration(7)
                child = await child_of(parent.pid)
                os.kill(child, signal.SIGKILL)
                await our.until_iteration(12)
                child = await child_of(parent.pid, other_than=child)
                parent.kill()
                await gone(child)
            async with worker_process(settings, "third"):
                await our.until_end()
                await our.until_no_job_is_left()
        runs = {(report.delivery, report.worker) for report in our.reports}
        assert runs == {(1, "first"), (2, "second"), (3, "second"), (4, "third")}
        check_against(reference, our)

    asyncio.run(scenario())


def check_lean(parent: int, child: int) -> None:
    """The parent has no torch, and a small part of the memory of its child."""
    maps, resident = zip(*(mapped_and_resident(pid) for pid in (parent, child)), strict=True)
    assert ["libtorch" in mapped for mapped in maps] == [False, True]
    assert resident[0] < 0.2 * resident[1]


def mapped_and_resident(pid: int) -> tuple[str, int]:
    process = Path("/proc") / str(pid)
    resident = re.search(r"VmRSS:\s+(\d+) kB", (process / "status").read_text())
    assert resident
    return (process / "maps").read_text(), int(resident[1])


def test_a_job_delivered_to_two_workers_at_once_is_trained_as_by_one(
    settings: Settings, blobs: BlobStore, uninterrupted: Reference
) -> None:
    """One freezes until it is taken for dead, and wakes up when another has its job."""
    reference = uninterrupted(epochs=EPOCHS)

    async def scenario() -> None:
        async with backend(settings) as our, worker_process(settings, "frozen") as frozen:
            await our.dispatch(coloured_job(blobs, epochs=EPOCHS))
            await our.until_iteration(3)
            child = await child_of(frozen.pid)
            frozen.send_signal(signal.SIGSTOP)
            async with worker_process(settings, "awake"):
                await our.until(lambda _: our.reports[-1].delivery == 2)
                frozen.send_signal(signal.SIGCONT)
                await our.until(
                    lambda body: isinstance(body, Completed) and our.reports[-1].delivery == 2
                )
                await gone(child)
                await our.until_no_job_is_left()
        check_against(reference, our)

    asyncio.run(scenario())
