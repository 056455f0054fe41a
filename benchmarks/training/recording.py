"""What recording the items of each epoch costs, as a share of the epoch."""

import asyncio
import itertools
import time

import msgspec

from adapters.blobs.blobs import BlobStore
from adapters.settings import Settings
from benchmarks.measurements import Expected, Measurement
from benchmarks.processes import data_folder
from benchmarks.quiet import repeat
from benchmarks.training.training import QUICK_IMAGES, digits_job
from domain.training.messages import Completed, EpochItems, EpochMetrics, Failed
from gpu_worker.channel import Assignment
from gpu_worker.process import Child

EPOCHS = 3

Times = tuple[float, float]
"""Seconds of an epoch, and of the same epoch without its recording."""


def run(quick: bool) -> list[Measurement]:
    """Seconds an epoch of the demo's training, from one validation to the next.

    The time of the recording is that of its own report: two trainings would differ by more than
    is measured. The first epoch is excluded, and with it the one-time work of torch.
    """
    images = "some" if quick else "1,797"
    return [
        _measure(f"resnet18, 32 px, all of {images} digits recorded: an epoch", 1.05, quick),
        _measure("validation images only: an epoch", 1.01, quick, record_training_images=False),
    ]


def _measure(what: str, bound: float, quick: bool, **options: object) -> Measurement:
    attempts = itertools.count(1)
    with data_folder() as folder:
        settings = Settings(
            data=folder, blobs_url=f"file://{folder}/blobs", worker_name="benchmark", device="auto"
        )
        blobs = BlobStore.from_url(settings.require("blobs_url"))
        size = QUICK_IMAGES if quick else None
        job = digits_job(blobs, size, epochs=EPOCHS, recorded_images=5000, **options)

        def measure() -> Times:
            # A new version, so that no training is resumed.
            fresh = msgspec.structs.replace(job, version_id=f"version-{next(attempts)}")
            return asyncio.run(_train(Assignment(fresh, 1, settings)))

        done = repeat(1 if quick else 3, measure, spare=0 if quick else 2)
    return Measurement(
        what=what,
        unit="s",
        ours=tuple(whole for whole, _ in done.results),
        alternative="without its recording",
        theirs=tuple(without for _, without in done.results),
        expected=Expected(bound),
        others=done.others,
    )


async def _train(assignment: Assignment) -> Times:
    child = await Child.start(assignment)
    validated: list[float] = []
    recording: list[float] = []
    reports = 0
    try:
        async for report in child.reports():
            reports += 1
            child.published(reports)
            match report:
                case EpochMetrics():
                    validated.append(time.monotonic())
                case EpochItems(seconds=seconds):
                    recording.append(seconds)
                case Completed():
                    # The recording of an epoch lies between its validation and the next one.
                    epochs = len(validated) - 1
                    whole = validated[-1] - validated[0]
                    return whole / epochs, (whole - sum(recording[:-1])) / epochs
                case Failed(reason=reason):
                    raise RuntimeError(reason)
        raise RuntimeError("the training process ended without a result")
    finally:
        await child.kill()
