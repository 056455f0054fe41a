"""How many wrong labels are among the top suspects, if some labels are wrong on purpose."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from adapters.blobs.blobs import BlobStore
from adapters.evaluation.loading import load_blob
from adapters.evaluation.prediction_arrays import PredictionArrays
from adapters.flip_book.arrays import Book
from adapters.flip_book.label_quality import label_quality
from adapters.flip_book.loading import Books
from adapters.flip_book.suspects import AUM, CONFIDENCE, LOSS, Suspect
from adapters.flip_book.training_suspects import training_scores, training_suspects
from adapters.flip_book.validation_suspects import validation_suspects
from adapters.settings import Settings
from benchmarks.measurements import Expected, Measurement
from benchmarks.processes import data_folder
from benchmarks.quiet import repeat
from benchmarks.training.wrong_labels import DIGITS, Wrong, points_to, wrong_digits, wrong_scenes
from domain.training.messages import Completed, EpochItems, Evaluated, Failed
from gpu_worker.channel import Assignment
from gpu_worker.process import Child

_DIGITS = {"architecture": "resnet18", "width": 32, "height": 32}
_SCENES = {
    "architecture": "fcos_resnet18_fpn",
    "width": 96,
    "height": 96,
    "optimizer": "adam",
    "augmentations": [],
}
_EXPECTED = {
    "digits, training, AUM": Expected(0.9, at_least=True),
    "digits, validation, cleanlab": Expected(0.9, at_least=True),
    "boxes, training": Expected(0.8, at_least=True),
    "boxes, validation, cleanlab": Expected(0.8, at_least=True),
}
_LABELS = dict(zip(DIGITS, DIGITS, strict=True))


class Learnt(NamedTuple):
    """What a training recorded, and the predictions of its saved checkpoint."""

    book: Book
    predictions: PredictionArrays


def run(quick: bool) -> list[Measurement]:
    """The share of the wrong labels among the top k suspects of a split, k being their number."""
    measured: dict[str, float] = {}

    def measure() -> None:
        with data_folder() as folder:
            settings = Settings(
                data=folder, blobs_url=f"file://{folder}/blobs", worker_name="b", device="auto"
            )
            blobs = BlobStore.from_url(settings.require("blobs_url"))
            digits = wrong_digits(
                blobs, 100 if quick else None, 0, **_DIGITS, epochs=2 if quick else 6
            )
            measured.update(_of_digits(digits, _train(digits, settings, blobs)))
            if not quick:
                scenes = wrong_scenes(blobs, 900, 250, 0, **_SCENES, epochs=6)
                measured.update(_of_scenes(scenes, _train(scenes, settings, blobs)))

    done = repeat(1, measure)
    return [
        Measurement(
            what=what, unit="", ours=(share,), expected=_EXPECTED.get(what), others=done.others
        )
        for what, share in measured.items()
    ]


def _of_digits(wrong: Wrong, learnt: Learnt) -> dict[str, float]:
    items = learnt.book.items
    is_wrong = np.array([key in wrong.boxes for key in items.keys])[items.of_training]
    shares = {
        f"digits, training, {name}": _share(
            is_wrong, training_scores(learnt.book, by)[items.of_training]
        )
        for name, by in (("AUM", AUM), ("confidence", CONFIDENCE), ("last loss", LOSS))
    }
    images = learnt.predictions.images
    validation = [key for key, trains in zip(images.ids, images.train, strict=True) if not trains]
    scores = np.array(label_quality(learnt.predictions).scores)
    is_wrong = np.array([key in wrong.boxes for key in validation])
    return shares | {"digits, validation, cleanlab": _share(is_wrong, scores)}


def _share(is_wrong: np.ndarray, scores: np.ndarray) -> float:
    """The share of wrong labels among as many with the lowest scores."""
    number = int(is_wrong.sum())
    return float(is_wrong[np.argsort(scores, kind="stable")[:number]].mean())


def _of_scenes(wrong: Wrong, learnt: Learnt) -> dict[str, float]:
    images = learnt.predictions.images
    validates = {key for key, trains in zip(images.ids, images.train, strict=True) if not trains}
    quality = label_quality(learnt.predictions)
    of_training = training_suspects(learnt.book, _LABELS)
    of_validation = validation_suspects(learnt.predictions, quality, _LABELS)
    return {
        "boxes, training": _share_of_boxes(wrong, of_training, validates, False),
        "boxes, validation, cleanlab": _share_of_boxes(wrong, of_validation, validates, True),
    }


def _share_of_boxes(
    wrong: Wrong, suspects: Sequence[Suspect], validates: set[str], validation: bool
) -> float:
    """The share of a split's wrong boxes that as many suspects point to."""
    own = {
        image: boxes for image, boxes in wrong.boxes.items() if (image in validates) == validation
    }
    number = sum(map(len, own.values()))
    top = suspects[:number]
    found = sum(
        any(points_to([box], s.image_id, s.item, s.label) for s in top if s.image_id == image)
        for image, boxes in own.items()
        for box in boxes
    )
    return found / number


def _train(wrong: Wrong, settings: Settings, blobs: BlobStore) -> Learnt:
    return asyncio.run(_reports(Assignment(wrong.job, 1, settings), blobs))


async def _reports(assignment: Assignment, blobs: BlobStore) -> Learnt:
    child = await Child.start(assignment)
    items: list[str] = []
    predictions = ""
    reports = 0
    try:
        async for report in child.reports():
            reports += 1
            child.published(reports)
            match report:
                case EpochItems():
                    items.append(report.items)
                case Evaluated():
                    predictions = report.predictions
                case Completed():
                    return Learnt(Books(blobs).get(items), load_blob(blobs, predictions))
                case Failed(reason=reason):
                    raise RuntimeError(reason)
        raise RuntimeError("the training process ended without a result")
    finally:
        await child.kill()
