"""How many wrong labels are among the top suspects, if some labels are wrong on purpose."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapters.blobs.blobs import BlobStore
from adapters.evaluation.loading import load_blob
from adapters.evaluation.prediction_arrays import Boxes, Labels, PredictionArrays
from adapters.flip_book.arrays import Book
from adapters.flip_book.box_suspects import recorded_boxes
from adapters.flip_book.label_quality import label_quality
from adapters.flip_book.loading import Books
from adapters.flip_book.suspects import AUM, CONFIDENCE, LOSS, Suspect
from adapters.flip_book.training_suspects import training_scores
from adapters.flip_book.validation_suspects import validation_boxes
from adapters.settings import Settings
from benchmarks.job_api import serving_job
from benchmarks.measurements import Expected, Measurement
from benchmarks.processes import data_folder
from benchmarks.quiet import repeat
from benchmarks.training.objectlab import ScoredBox, scored_boxes
from benchmarks.training.wrong_labels import (
    DIGITS,
    Wrong,
    WrongBox,
    points_to,
    wrong_digits,
    wrong_scenes,
)
from domain.dataset.image import TRAIN, VALIDATION
from domain.training.messages import Completed, EpochItems, Evaluated, Failed
from gpu_worker.channel import Assignment
from gpu_worker.process import Child

SEED = 1
"""Of the scenes and of what is wrong in them: the ranking was chosen on those of seed 0."""
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
    "boxes, validation": Expected(0.8, at_least=True),
}
_LABELS = dict(zip(DIGITS, DIGITS, strict=True))


class Learnt(NamedTuple):
    """What a training recorded, and the predictions of its saved checkpoint."""

    book: Book
    predictions: PredictionArrays


def run(quick: bool) -> list[Measurement]:
    """The share of the wrong labels among the top k suspects of a split, k being their number."""
    images, epochs = (60, 1) if quick else (None, 6)
    return _measure(
        lambda blobs: wrong_digits(blobs, images, 0, **_DIGITS, epochs=epochs), _of_digits
    )


def run_boxes(quick: bool) -> list[Measurement]:
    """The same of boxes that are deleted, shifted, or of another concept."""
    train, validation, epochs = (24, 16, 1) if quick else (900, 600, 6)
    return _measure(
        lambda blobs: wrong_scenes(blobs, train, validation, SEED, **_SCENES, epochs=epochs),
        _of_scenes,
    )


def _measure(
    make: Callable[[BlobStore], Wrong], shares: Callable[[Wrong, Learnt], dict[str, float]]
) -> list[Measurement]:
    def measure() -> dict[str, float]:
        with data_folder() as folder:
            settings = Settings(
                data=folder, blobs_url=f"file://{folder}/blobs", worker_name="b", device="auto"
            )
            blobs = BlobStore.from_url(settings.require("blobs_url"))
            wrong = make(blobs)
            return shares(wrong, _train(wrong, settings, blobs))

    done = repeat(1, measure)
    return [
        Measurement(
            what=what, unit="", ours=(share,), expected=_EXPECTED.get(what), others=done.others
        )
        for what, share in done.results[0].items()
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
    predictions = learnt.predictions
    assert isinstance(predictions, Labels)
    images = predictions.images
    validation = [key for key, trains in zip(images.ids, images.train, strict=True) if not trains]
    scores = np.array(label_quality(predictions).scores)
    is_wrong = np.array([key in wrong.boxes for key in validation])
    return shares | {"digits, validation, cleanlab": _share(is_wrong, scores)}


def _share(is_wrong: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """The share of wrong labels among as many with the lowest scores."""
    number = int(is_wrong.sum())
    return float(is_wrong[np.argsort(scores, kind="stable")[:number]].sum()) / max(number, 1)


def _of_scenes(wrong: Wrong, learnt: Learnt) -> dict[str, float]:
    predictions = learnt.predictions
    assert isinstance(predictions, Boxes)
    images = predictions.images
    training, validation = (
        {
            key: wrong.boxes.get(key, ())
            for key, trains in zip(images.ids, images.train, strict=True)
            if trains == of_training
        }
        for of_training in (True, False)
    )
    recorded = recorded_boxes(learnt.book, _LABELS)
    return {
        f"boxes, {name}": _share_of_boxes(own, _pointers(s for s in recorded if s.split == split))
        for name, split, own in (
            ("training", TRAIN, training),
            ("validation", VALIDATION, validation),
        )
    } | {
        "boxes, validation, saved checkpoint": _share_of_boxes(
            validation, _pointers(validation_boxes(predictions, _LABELS))
        ),
        "boxes, validation, cleanlab": _share_of_boxes(validation, scored_boxes(predictions)),
    }


def _pointers(suspects: Iterable[Suspect]) -> list[ScoredBox]:
    pointers = []
    for suspect in suspects:
        label = suspect.label
        assert label.box is not None
        number = int(suspect.item.rpartition(":")[2]) if label.present else None
        pointers.append(ScoredBox(suspect.score, suspect.image_id, number, label.box))
    return pointers


def _share_of_boxes(wrong: Mapping[str, Sequence[WrongBox]], ranked: Sequence[ScoredBox]) -> float:
    """The share of the wrong boxes that as many of the most suspect ones point to."""
    number = sum(map(len, wrong.values()))
    top: dict[str, list[ScoredBox]] = {}
    for each in ranked[:number]:
        top.setdefault(each.image_id, []).append(each)
    found = sum(
        any(points_to(box, each.number, each.box) for each in top.get(image, ()))
        for image, boxes in wrong.items()
        for box in boxes
    )
    return found / max(number, 1)


def _train(wrong: Wrong, settings: Settings, blobs: BlobStore) -> Learnt:
    with serving_job(wrong.job, blobs) as api_url:
        own = msgspec.structs.replace(settings, api_url=api_url)
        return asyncio.run(_reports(Assignment(wrong.job, 1, own), blobs))


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
