"""What bounds a training: its data alone, drawn and augmented, against its model alone."""

import subprocess
import sys

import msgspec

from adapters.blobs import BlobStore
from adapters.settings import Settings
from benchmarks.figures import Figure
from benchmarks.processes import data_folder, environment
from benchmarks.quiet import repeat
from benchmarks.training import QUICK_IMAGES, digits_job
from domain.augmentations import (
    BRIGHTNESS,
    CONTRAST,
    HORIZONTAL_FLIP,
    PATCH_NOISE,
    RANDOM_CROP,
    ROTATION,
    VERTICAL_FLIP,
)
from domain.messages import TrainJob
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
    """Training images a second that the data comes to without a model, and the other way round."""

    data: float
    model: float


def run(quick: bool) -> list[Figure]:
    """A ratio above 1 says that the model is what a training waits for."""
    with data_folder() as folder:
        settings = Settings(
            data=folder, blobs_url=f"file://{folder}/blobs", worker_name="benchmark", device="cpu"
        )
        blobs = BlobStore.from_url(settings.require("blobs_url"))

        def figure(what: str, **options: object) -> Figure:
            job = digits_job(blobs, QUICK_IMAGES if quick else None, **options)
            done = repeat(1 if quick else 5, lambda: _alone(job, settings))
            return Figure(
                what=f"resnet18, {job.options.width} px, {what}: the data alone",
                unit="images/s",
                ours=tuple(alone.data for alone in done.results),
                alternative="the model alone",
                theirs=tuple(alone.model for alone in done.results),
                others=done.others,
            )

        every = {"augmentations": EVERY_OPERATION}
        if quick:
            return [figure("every augmentation", **every)]
        return [
            figure("as they are"),
            figure("every augmentation", **every),
            figure("every augmentation", **every, width=224, height=224),
        ]


def _alone(job: TrainJob, settings: Settings) -> Alone:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.loading_process"],
        input=encode_line(Assignment(job, 1, settings)),
        stdout=subprocess.PIPE,
        env=environment(PATIENT_THREADS),
        check=True,
    )
    return msgspec.json.decode(done.stdout, type=Alone)
