"""What recording the items of each epoch costs, as a share of the epoch."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import torch

from adapters.blobs.blobs import BlobStore
from adapters.settings import Settings
from benchmarks.job_api import serving_job
from benchmarks.measurements import Expected, Measurement
from benchmarks.processes import data_folder
from benchmarks.quiet import repeat
from benchmarks.training.training import QUICK_IMAGES, digits_job
from domain.training.messages import Completed, EpochItems, EpochMetrics, Failed, TrainJob
from gpu_worker.channel import Assignment
from gpu_worker.networks import build_network
from gpu_worker.process import Child

EPOCHS = 3
DIGITS = 1797

BATCH = 128
"""The size of batches in which the worker measures training images."""


class Times(NamedTuple):
    """Seconds of an epoch, of its recording, and of the bare forward passes that this takes."""

    epoch: float
    recording: float
    passes: float


def run(quick: bool) -> list[Measurement]:
    """Seconds an epoch of the demo's training, from one validation to the next.

    The time of the recording is that of its own report: two trainings would differ by more than
    is measured. The first epoch is excluded, and with it the one-time work of torch.
    """
    images = "some" if quick else "1,797"
    return [
        *_measure(f"resnet18, 32 px, all of {images} digits recorded: an epoch", 1.05, quick),
        *_measure("validation images only: an epoch", 1.01, quick, record_training_images=False),
    ]


def _measure(
    what: str, bound: float, quick: bool, *, record_training_images: bool = True
) -> Iterator[Measurement]:
    attempts = itertools.count(1)
    with data_folder() as folder:
        settings = Settings(
            data=folder, blobs_url=f"file://{folder}/blobs", worker_name="benchmark", device="auto"
        )
        blobs = BlobStore.from_url(settings.require("blobs_url"))
        size = QUICK_IMAGES if quick else None
        options = {"recorded_images": 5000, "record_training_images": record_training_images}
        job = digits_job(blobs, size, epochs=EPOCHS, **options)

        def measure() -> Times:
            # A new version, so that no training is resumed.
            fresh = msgspec.structs.replace(job, version_id=f"version-{next(attempts)}")
            with serving_job(fresh, blobs) as api_url:
                own = msgspec.structs.replace(settings, api_url=api_url)
                epoch, recording = asyncio.run(_train(Assignment(fresh, 1, own)))
            passes = _forward_passes(fresh, (size or DIGITS) * 4 // 5)
            return Times(epoch, recording, passes)

        done = repeat(1 if quick else 3, measure, spare=0 if quick else 2)
    yield Measurement(
        what=what,
        unit="s",
        ours=tuple(times.epoch for times in done.results),
        alternative="without its recording",
        theirs=tuple(times.epoch - times.recording for times in done.results),
        expected=Expected(bound),
        others=done.others,
    )
    if record_training_images:
        yield Measurement(
            what="its recording",
            unit="s",
            ours=tuple(times.recording for times in done.results),
            alternative="the forward passes of its training images alone",
            theirs=tuple(times.passes for times in done.results),
            others=done.others,
        )


def _forward_passes(job: TrainJob, images: int) -> float:
    """Seconds of the forward passes of this number of images, which lie decoded in memory."""
    options = job.options
    network = build_network(job.kind, options, len(job.concepts)).eval()
    network = network.to(memory_format=torch.channels_last)
    pixels = torch.rand(BATCH, 3, options.height or 0, options.width or 0)
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        network(pixels)
        started = time.monotonic()
        for first in range(0, images, BATCH):
            network(pixels[: images - first])
        return time.monotonic() - started


async def _train(assignment: Assignment) -> tuple[float, float]:
    """Seconds of an epoch, and of its recording."""
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
                    return whole / epochs, sum(recording[:-1]) / epochs
                case Failed(reason=reason):
                    raise RuntimeError(reason)
        raise RuntimeError("the training process ended without a result")
    finally:
        await child.kill()
