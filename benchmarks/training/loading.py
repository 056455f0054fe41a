"""The bottleneck of a training: its data loading alone, with augmentation, against its model
alone."""

import subprocess
import sys
from collections.abc import Sequence

import msgspec

from adapters.blobs.blobs import BlobStore
from adapters.settings import Settings
from benchmarks.measurements import Measurement
from benchmarks.processes import data_folder, environment
from benchmarks.quiet import repeat
from benchmarks.training.training import QUICK_IMAGES, digits_job
from domain.training.augmentations import (
    BRIGHTNESS,
    CONTRAST,
    HORIZONTAL_FLIP,
    PATCH_NOISE,
    RANDOM_CROP,
    ROTATION,
    VERTICAL_FLIP,
)
from domain.training.messages import TrainJob
from gpu_worker.channel import Assignment, encode_line
from gpu_worker.process import PATIENT_THREADS

EVERY_OPERATION = [
    HORIZONTAL_FLIP,
    VERTICAL_FLIP,
    ROTATION,
    BRIGHTNESS,
    CONTRAST,
    RANDOM_CROP,
    PATCH_NOISE,
]


class Alone(msgspec.Struct, frozen=True):
    """Training images a second of data loading without the model, and of the model without data
    loading."""

    data: float
    model: float


def run(quick: bool) -> list[Measurement]:
    """Images a second of each; with a ratio above 1, the model is the bottleneck."""
    with data_folder() as folder:
        settings = Settings(
            data=folder, blobs_url=f"file://{folder}/blobs", worker_name="benchmark", device="cpu"
        )
        blobs = BlobStore.from_url(settings.require("blobs_url"))
        every: dict[str, object] = {"augmentations": EVERY_OPERATION}
        large = 64 if quick else 224
        images = QUICK_IMAGES if quick else None
        jobs = [
            ("as they are", digits_job(blobs, images)),
            ("every augmentation", digits_job(blobs, images, **every)),
            ("every augmentation", digits_job(blobs, images, **every, width=large, height=large)),
        ]
        done = repeat(1 if quick else 5, lambda: _alone([job for _, job in jobs], settings))
    return [
        Measurement(
            what=f"resnet18, {job.options.width} px, {what}: the data alone",
            unit="images/s",
            ours=tuple(each[place].data for each in done.results),
            alternative="the model alone",
            theirs=tuple(each[place].model for each in done.results),
            others=done.others,
        )
        for place, (what, job) in enumerate(jobs)
    ]


def _alone(jobs: Sequence[TrainJob], settings: Settings) -> list[Alone]:
    """The results of each job, one after the other in one process: torch is imported once."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.training.loading_process"],
        input=b"".join(encode_line(Assignment(job, 1, settings)) for job in jobs),
        stdout=subprocess.PIPE,
        env=environment(PATIENT_THREADS),
        check=True,
    )
    return [msgspec.json.decode(line, type=Alone) for line in done.stdout.splitlines()]
