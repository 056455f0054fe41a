"""The presets of trainings on the demo's digits: their durations and their accuracies."""

import itertools
import time
from typing import NamedTuple

import msgspec

from adapters.blobs.blobs import BlobStore
from adapters.settings import Settings
from benchmarks.measurements import Expected, Measurement
from benchmarks.processes import data_folder
from benchmarks.quiet import repeat
from benchmarks.training.training import digits_job
from domain.library.view import CLASSIFICATION
from domain.training.messages import AnyReport, Evaluated
from domain.training.options import resolve_options
from domain.training.presets import ACCURATE, BALANCED, QUICK, with_preset
from gpu_worker.stored_files import StoredFiles
from gpu_worker.train import train_version

SIZE = {"width": 32, "height": 32, "pretrained": "none"}
"""Digits have 8 pixels a side: larger inputs take longer and add no detail."""

QUICK_IMAGES = 40
SEEDS = 3


class Trained(NamedTuple):
    """Seconds of a whole training, and the validation accuracy of its checkpoint."""

    seconds: float
    accuracy: float


def run(quick: bool) -> list[Measurement]:
    """Each preset beside the balanced one, which has all defaults, from random weights."""
    images = QUICK_IMAGES if quick else None
    seeds = itertools.count()
    with data_folder() as folder:
        settings = Settings(data=folder, blobs_url=f"file://{folder}/blobs", device="auto")
        blobs = BlobStore.from_url(settings.require("blobs_url"))

        def train(preset: str, seed: int) -> Trained:
            given = with_preset(CLASSIFICATION, preset, SIZE | {"seed": seed})
            if quick:
                given["epochs"] = 1.0
            architecture = resolve_options(CLASSIFICATION, given).architecture
            job = digits_job(blobs, images, **given | {"architecture": architecture})
            # A version of its own, so that no training is resumed.
            job = msgspec.structs.replace(job, version_id=f"{preset}-{seed}")
            reports: list[AnyReport] = []
            began = time.monotonic()
            train_version(job, settings, StoredFiles(blobs, job, 1), reports.append)
            seconds = time.monotonic() - began
            (evaluated,) = (report for report in reports if isinstance(report, Evaluated))
            return Trained(seconds, evaluated.validation.accuracy or 0.0)

        def measure() -> dict[str, Trained]:
            seed = next(seeds)
            return {preset: train(preset, seed) for preset in (QUICK, BALANCED, ACCURATE)}

        done = repeat(1 if quick else SEEDS, measure)
    found: list[Measurement] = []
    for preset in (QUICK, BALANCED, ACCURATE):
        mine = [result[preset] for result in done.results]
        balanced = [result[BALANCED] for result in done.results]
        is_balanced = preset == BALANCED
        found += [
            Measurement(
                what=f"{preset}, 32 px: whole training",
                unit="s",
                ours=tuple(one.seconds for one in mine),
                alternative="" if is_balanced else BALANCED,
                theirs=() if is_balanced else tuple(one.seconds for one in balanced),
                expected=Expected(1.0) if preset == QUICK else None,
                others=done.others,
            ),
            Measurement(
                what=f"{preset}, 32 px: validation accuracy",
                unit="",
                ours=tuple(one.accuracy for one in mine),
                alternative="" if is_balanced else BALANCED,
                theirs=() if is_balanced else tuple(one.accuracy for one in balanced),
                expected=Expected(1.0, at_least=True) if preset == ACCURATE else None,
                others=done.others,
            ),
        ]
    return found
