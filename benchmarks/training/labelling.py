"""Active learning: how many labels it takes if a version names what it is least sure of."""

import itertools
import random
from collections.abc import Collection
from statistics import median
from typing import NamedTuple

from adapters.blobs.blobs import BlobStore
from adapters.evaluation.suggestions import ENTROPY, in_order, load_suggestions
from adapters.settings import Settings
from benchmarks.measurements import Expected, Measurement
from benchmarks.processes import data_folder
from benchmarks.quiet import repeat
from cli.demo.digits import handwritten_digits
from domain.library.view import CLASSIFICATION
from domain.training.jobs import PredictJob
from domain.training.manifest import canonical_line
from domain.training.messages import (
    AnyReport,
    Completed,
    ConceptLabel,
    Evaluated,
    ManifestLine,
    Predicted,
    Purpose,
    TrainJob,
)
from domain.training.options import resolve_options
from gpu_worker.predictions import predict_images
from gpu_worker.stored_files import StoredFiles
from gpu_worker.train import train_version

SEEDS = 5
FIRST, EACH, FEW, MANY = 100, 50, 300, 600
"""Labels at first, those added at a time, and those that are compared."""
RANDOM_SHARE = 0.1
CONCEPTS = tuple(ConceptLabel(str(digit), str(digit)) for digit in range(10))
EPOCHS = 12
OPTIONS = {
    "architecture": "resnet18",
    "width": 32,
    "height": 32,
    "pretrained": "none",
    "recorded_images": 0,
}


class Accuracies(NamedTuple):
    """On the images that validate, of versions trained on so many labels."""

    chosen_few: float
    random_few: float
    random_many: float


class Digits:
    """The digits: a fifth validates, and the others are labelled as they are asked for."""

    def __init__(
        self, blobs: BlobStore, settings: Settings, images: int | None, epochs: int
    ) -> None:
        files, digits = handwritten_digits()
        self._blobs, self._settings, self._epochs = blobs, settings, epochs
        self._numbers = itertools.count(1)
        numbers = random.Random(0).sample(range(len(files)), images or len(files))
        self._lines = {
            f"image-{place:04}": ManifestLine(
                f"image-{place:04}",
                blobs.put(files[number][1]),
                "validation" if place < len(numbers) // 5 else "train",
                (str(digits[number]),),
            )
            for place, number in enumerate(numbers)
        }
        self.pool = [key for key, line in self._lines.items() if line.split == "train"]

    def train(self, labelled: Collection[str], seed: int) -> tuple[float, str, TrainJob]:
        """The accuracy, the checkpoint and the job of a version trained on these labels."""
        lines = [
            line
            for key, line in self._lines.items()
            if line.split == "validation" or key in labelled
        ]
        job = TrainJob(
            version_id=f"version-{next(self._numbers)}",
            attempt=1,
            kind=CLASSIFICATION,
            concepts=CONCEPTS,
            options=resolve_options(
                CLASSIFICATION, OPTIONS | {"epochs": self._epochs, "seed": seed}
            ),
            manifest=self._stored(lines),
            correlation_id="benchmark",
        )
        reports: list[AnyReport] = []
        train_version(job, self._settings, StoredFiles(self._blobs, job, 1), reports.append)
        (evaluated,) = (each for each in reports if isinstance(each, Evaluated))
        (completed,) = (each for each in reports if isinstance(each, Completed))
        return evaluated.validation.accuracy or 0.0, completed.checkpoint, job

    def least_sure(
        self, job: TrainJob, checkpoint: str, unlabelled: Collection[str], seed: int
    ) -> list[str]:
        """The queue of images to annotate, as the version orders it."""
        asked = PredictJob(
            version_id=job.version_id,
            purpose=Purpose.SUGGESTIONS,
            request=1,
            kind=job.kind,
            concepts=job.concepts,
            options=job.options,
            checkpoint=checkpoint,
            manifest=self._stored([self._lines[key] for key in unlabelled]),
            correlation_id="benchmark",
        )
        reports: list[AnyReport] = []
        predict_images(asked, self._settings, StoredFiles(self._blobs, asked, 1), reports.append)
        (predicted,) = (each for each in reports if isinstance(each, Predicted))
        thresholds = (0.0,) * len(CONCEPTS)
        suggestions = load_suggestions(self._blobs, predicted.predictions, thresholds)
        ordered = in_order(suggestions, ENTROPY, RANDOM_SHARE, seed)
        return [suggestion.image_id for suggestion in ordered]

    def _stored(self, lines: list[ManifestLine]) -> str:
        return self._blobs.put_compressed(map(canonical_line, lines))[0]


def run(quick: bool) -> list[Measurement]:
    """The accuracy of few labels that a version asked for, beside that of many at random.

    It tells how well labels are chosen, not how fast; medians over the seeds.
    """
    sizes = (8, 8, 24, 32) if quick else (FIRST, EACH, FEW, MANY)
    with data_folder() as folder:
        settings = Settings(data=folder, blobs_url=f"file://{folder}/blobs", device="auto")
        blobs = BlobStore.from_url(settings.require("blobs_url"))
        digits = Digits(blobs, settings, 60 if quick else None, 1 if quick else EPOCHS)
        seeds = range(1 if quick else SEEDS)
        done = repeat(1, lambda: [_measure(digits, sizes, seed) for seed in seeds])
    chosen, few, many = zip(*done.results[0], strict=True)
    _, _, fewer, more = sizes
    by_version = f"{fewer} labels, the least sure first: accuracy"
    return [
        Measurement(
            what=what,
            unit="",
            ours=ours,
            alternative=f"{more} labels at random",
            theirs=theirs,
            expected=expected,
            others=done.others,
        )
        for what, ours, theirs, expected in (
            (
                f"{by_version}, median of {len(seeds)} seeds",
                (median(chosen),),
                (median(many),),
                Expected(1.0, at_least=True),
            ),
            (by_version, chosen, many, None),
            (f"{fewer} labels at random: accuracy", few, many, None),
        )
    ]


def _measure(digits: Digits, sizes: tuple[int, int, int, int], seed: int) -> Accuracies:
    first, each, few, many = sizes
    at_random = random.Random(seed).sample(digits.pool, many)
    labelled = dict.fromkeys(at_random[:first])
    accuracy, checkpoint, job = digits.train(labelled, seed)
    while len(labelled) < few:
        unlabelled = [key for key in digits.pool if key not in labelled]
        queue = digits.least_sure(job, checkpoint, unlabelled, seed)
        labelled |= dict.fromkeys(queue[: min(each, few - len(labelled))])
        accuracy, checkpoint, job = digits.train(labelled, seed)
    return Accuracies(
        accuracy, digits.train(at_random[:few], seed)[0], digits.train(at_random, seed)[0]
    )
