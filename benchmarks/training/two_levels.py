"""Digits read in two levels: a detection view finds them, and its child reads each true box."""

import itertools

from adapters.blobs.blobs import BlobStore
from adapters.settings import Settings
from benchmarks.measurements import Expected, Measurement
from benchmarks.processes import data_folder
from benchmarks.quiet import repeat
from cli.demo.scenes import DigitScene, PlacedDigit, digit_scenes
from domain.aggregates import IMAGE
from domain.dataset.annotation import Annotation, Box
from domain.dataset.image import ImageAdded, ImageAnnotated, ImageSplitAssigned
from domain.dataset.items import Parent
from domain.library.view import CLASSIFICATION, DETECTION
from domain.training.manifest import PlacedImage, canonical_line, manifest
from domain.training.messages import AnyReport, ConceptLabel, Evaluated, TrainJob
from domain.training.options import resolve_options
from gpu_worker.stored_files import StoredFiles
from gpu_worker.train import train_version

TRAIN, VALIDATION = 700, 200
"""Scenes, of two digits on average."""

FINDS, READS = "where is a digit", "which digit is it"
PARENTS = (Parent(FINDS, DETECTION, (("digit",),)),)
DIGITS = tuple(str(digit) for digit in range(10))
OPTIONS = {
    "architecture": "resnet18",
    "width": 32,
    "height": 32,
    "epochs": 10,
    "pretrained": "none",
}


def run(quick: bool) -> list[Measurement]:
    """The accuracy of the child on the true boxes of validation scenes, with and without a margin
    around the crops. It tells how well digits are read, not how fast."""
    train, validation = (24, 8) if quick else (TRAIN, VALIDATION)
    epochs = {"epochs": 1} if quick else {}
    versions = itertools.count(1)
    with data_folder() as folder:
        settings = Settings(data=folder, blobs_url=f"file://{folder}/blobs", device="auto")
        blobs = BlobStore.from_url(settings.require("blobs_url"))
        digest = _dataset(blobs, train, validation)

        def accuracy(margin: float) -> float:
            job = TrainJob(
                version_id=f"version-{next(versions)}",
                attempt=1,
                kind=CLASSIFICATION,
                concepts=tuple(ConceptLabel(digit, digit) for digit in DIGITS),
                options=resolve_options(
                    CLASSIFICATION, OPTIONS | epochs | {"margin_crop": margin}, crops=True
                ),
                manifest=digest,
                correlation_id="benchmark",
            )
            reports: list[AnyReport] = []
            train_version(job, settings, StoredFiles(blobs, job, 1), reports.append)
            (evaluated,) = (report for report in reports if isinstance(report, Evaluated))
            return evaluated.validation.accuracy or 0.0

        done = repeat(1, lambda: (accuracy(0.2), accuracy(0.0)))
    with_margin, without = zip(*done.results, strict=True)
    what = f"digits read in the true boxes of {validation} scenes, by {train} others"
    return [
        Measurement(
            what=f"{what}: accuracy, margin 0.2",
            unit="",
            ours=with_margin,
            alternative="margin 0",
            theirs=without,
            others=done.others,
        ),
        Measurement(
            what=f"{what}: accuracy, margin 0",
            unit="",
            ours=without,
            expected=Expected(0.97, at_least=True),
            others=done.others,
        ),
    ]


def _dataset(blobs: BlobStore, train: int, validation: int) -> str:
    """The manifest of the child view, by its digest."""
    images = [_image(blobs, scene) for scene in digit_scenes(train, validation, seed=0)]
    lines = manifest(
        images,
        READS,
        CLASSIFICATION,
        frozenset(DIGITS),
        negative_validation=True,
        reviewed_only=False,
        parents=PARENTS,
    )
    return blobs.put_compressed(map(canonical_line, lines))[0]


def _image(blobs: BlobStore, scene: DigitScene) -> PlacedImage:
    boxes = [(str(digit.digit), _box(digit)) for digit in scene.digits]
    events = [
        ImageAdded("scenes", blobs.put(scene.png), 64, 64, scene.name, {}),
        ImageSplitAssigned(scene.split),
        ImageAnnotated(FINDS, tuple(Annotation("digit", box) for _, box in boxes), not boxes),
        ImageAnnotated(READS, tuple(Annotation(digit, box) for digit, box in boxes), False),
    ]
    state = IMAGE.fold(events)
    assert state is not None
    return PlacedImage(scene.name, state, len(events))


def _box(digit: PlacedDigit) -> Box:
    return Box(digit.left, digit.top, digit.right - digit.left, digit.bottom - digit.top)
