"""What the routes of the flip book answer with."""

from datetime import datetime
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapters.flip_book.arrays import EpochArrays
from adapters.flip_book.boxes import OUTCOMES
from adapters.flip_book.folds import NEVER, REGIONS, Dynamics
from api.flip_book.book import FlipBook, Recording
from domain.dataset.image import TRAIN, VALIDATION, Box
from domain.training.messages import ConceptLabel
from projections.flip_book.flip_book import RecordedEpoch

_DECIMALS = 6


class FlipBookView(msgspec.Struct, frozen=True):
    """What is recorded: `epochs` is their number, and `latest` the last one.

    An epoch has `rows` items of `images` images. `note` explains why there is nothing to show, if
    so.
    """

    version_id: str
    concepts: list[ConceptLabel]
    recorded_images: int
    record_training_images: bool
    epochs: int
    latest: int | None
    images: int
    rows: int
    discarded_at: datetime | None
    note: str
    position: int


class EpochsView(msgspec.Struct, frozen=True):
    """A page of epochs; pass `next` as `cursor` for the next page."""

    items: list[RecordedEpoch]
    next: str | None
    position: int


class PointsView(msgspec.Struct, frozen=True):
    """The properties of items that do not change between epochs: an array for each, in the order of
    `items`.

    `images` are indexes in `image_ids`, `truth` in `concepts`; `splits` are 0 for training and 1
    for validation. `positive` is whether the image has the concept, in tagging.
    """

    kind: str
    concepts: list[ConceptLabel]
    items: list[str]
    images: list[int]
    image_ids: list[str]
    splits: list[int]
    truth: list[int]
    positive: list[int] | None
    boxes: list[list[float]] | None
    latest: int
    position: int


class EpochPointsView(msgspec.Struct, frozen=True):
    """The measurements of items after an epoch, and over the epochs so far, in the order of
    `/points`.

    `predicted` is an index in `concepts` or -1; in tagging 1 or 0. `region` is 0 for easy, 1 for
    ambiguous, 2 for hard. `first_learnt` is None for an item that was never correct.
    """

    epoch: int
    probability: list[float]
    margin: list[float]
    loss: list[float]
    predicted: list[int]
    correct: list[int]
    confidence: list[float]
    variability: list[float]
    correctness: list[float]
    aum: list[float]
    forgotten: list[int]
    first_learnt: list[int | None]
    region: list[int]
    outcome: list[str] | None
    position: int


class ItemView(msgspec.Struct, frozen=True):
    """An item after an epoch. `positive` is null except in tagging; `outcome` and `box` are null
    except in detection. `predicted` is None where no concept is; in tagging it is the item's own
    concept if that is predicted."""

    item: str
    image_id: str
    file_name: str
    split: str
    concept_id: str
    label: str
    positive: bool | None
    predicted: str | None
    predicted_label: str | None
    correct: bool
    probability: float
    margin: float
    loss: float
    confidence: float
    variability: float
    correctness: float
    aum: float
    forgotten: int
    first_learnt: int | None
    region: str
    outcome: str | None
    box: Box | None


class ItemsView(msgspec.Struct, frozen=True):
    """A page of items. `count` is the number of matches; pass `next` as `cursor` for the next
    page."""

    epoch: int
    items: list[ItemView]
    count: int
    next: str | None
    position: int


class PredictedBoxView(msgspec.Struct, frozen=True):
    """A predicted box; `matched` is the index of a true box of the image, or -1."""

    concept_id: str
    label: str
    score: float
    outcome: str
    matched: int
    box: Box


class ItemEpoch(msgspec.Struct, frozen=True):
    """An item after one of its epochs; `boxes` are all of the image that were predicted then, in
    detection."""

    epoch: int
    probability: float
    margin: float
    loss: float
    predicted: str | None
    correct: bool
    confidence: float
    variability: float
    correctness: float
    aum: float
    forgotten: int
    outcome: str | None
    boxes: list[PredictedBoxView] | None


class ItemOverEpochsView(msgspec.Struct, frozen=True):
    """An item as it was last measured, and after each epoch."""

    item: ItemView
    epochs: list[ItemEpoch]
    position: int


def flip_book_view(recording: Recording) -> FlipBookView:
    version, latest = recording.version, recording.count.latest
    return FlipBookView(
        version_id=version.version_id,
        concepts=version.concepts,
        recorded_images=version.options.recorded_images,
        record_training_images=version.options.record_training_images,
        epochs=recording.count.epochs,
        latest=None if latest is None else latest.epoch,
        images=0 if latest is None else latest.images,
        rows=0 if latest is None else latest.rows,
        discarded_at=None if recording.discarded is None else recording.discarded.discarded_at,
        note=recording.note,
        position=recording.position,
    )


def points_view(flip_book: FlipBook) -> PointsView:
    items, shown = flip_book.book.items, flip_book.shown
    keys = items.keys
    used, images = np.unique(items.image[shown], return_inverse=True)
    return PointsView(
        kind=items.kind,
        concepts=flip_book.version.concepts,
        items=[keys[place] for place in shown.tolist()],
        images=images.tolist(),
        image_ids=[items.image_ids[image] for image in used.tolist()],
        splits=np.where(items.of_training[shown], 0, 1).tolist(),
        truth=items.concept[shown].tolist(),
        positive=None if items.positive is None else items.positive[shown].astype(int).tolist(),
        boxes=None if items.sides is None else np.round(items.sides[shown], _DECIMALS).tolist(),
        latest=flip_book.latest,
        position=flip_book.position,
    )


def epoch_points_view(flip_book: FlipBook) -> EpochPointsView:
    last, shown = flip_book.book.last, flip_book.shown
    metrics = flip_book.book.dynamics()
    names = None if last.outcome is None else [OUTCOMES[n] for n in last.outcome[shown].tolist()]
    return EpochPointsView(
        epoch=last.epoch,
        probability=_rounded(last.probability[shown]),
        margin=_rounded(last.margin[shown]),
        loss=_rounded(last.loss[shown]),
        predicted=last.predicted[shown].tolist(),
        correct=last.correct[shown].astype(int).tolist(),
        confidence=_rounded(metrics.confidence[shown]),
        variability=_rounded(metrics.variability[shown]),
        correctness=_rounded(metrics.correctness[shown]),
        aum=_rounded(metrics.aum[shown]),
        forgotten=metrics.forgotten[shown].tolist(),
        first_learnt=[_epoch(number) for number in metrics.first_learnt[shown].tolist()],
        region=metrics.region[shown].tolist(),
        outcome=names,
        position=flip_book.position,
    )


def item_view(
    flip_book: FlipBook, metrics: Dynamics, place: int, names: dict[str, str]
) -> ItemView:
    items, last = flip_book.book.items, flip_book.book.last
    image_id = items.image_ids[items.image[place]]
    concept_id = items.concepts[items.concept[place]]
    predicted = _predicted(last, place)
    labels = flip_book.labels
    return ItemView(
        item=items.keys[place],
        image_id=image_id,
        file_name=names.get(image_id, ""),
        split=TRAIN if items.of_training[place] else VALIDATION,
        concept_id=concept_id,
        label=labels[concept_id],
        positive=None if items.positive is None else bool(items.positive[place]),
        predicted=predicted,
        predicted_label=None if predicted is None else labels[predicted],
        correct=bool(last.correct[place]),
        probability=_round(last.probability[place]),
        margin=_round(last.margin[place]),
        loss=_round(last.loss[place]),
        confidence=_round(metrics.confidence[place]),
        variability=_round(metrics.variability[place]),
        correctness=_round(metrics.correctness[place]),
        aum=_round(metrics.aum[place]),
        forgotten=int(metrics.forgotten[place]),
        first_learnt=_epoch(int(metrics.first_learnt[place])),
        region=REGIONS[metrics.region[place]],
        outcome=None if last.outcome is None else OUTCOMES[last.outcome[place]],
        box=None if items.sides is None else Box(*map(_round, items.sides[place])),
    )


def item_epochs(flip_book: FlipBook, place: int) -> list[ItemEpoch]:
    """An item after each of the epochs."""
    found = []
    for arrays in flip_book.book.epochs:
        metrics = flip_book.book.until(arrays.epoch).dynamics(place)
        found.append(
            ItemEpoch(
                epoch=arrays.epoch,
                probability=_round(arrays.probability[place]),
                margin=_round(arrays.margin[place]),
                loss=_round(arrays.loss[place]),
                predicted=_predicted(arrays, place),
                correct=bool(arrays.correct[place]),
                confidence=_round(metrics.confidence[0]),
                variability=_round(metrics.variability[0]),
                correctness=_round(metrics.correctness[0]),
                aum=_round(metrics.aum[0]),
                forgotten=int(metrics.forgotten[0]),
                outcome=None if arrays.outcome is None else OUTCOMES[arrays.outcome[place]],
                boxes=_boxes(flip_book, arrays, place),
            )
        )
    return found


def _boxes(flip_book: FlipBook, arrays: EpochArrays, place: int) -> list[PredictedBoxView] | None:
    if arrays.boxes is None:
        return None
    concepts, labels = arrays.items.concepts, flip_book.labels
    return [
        PredictedBoxView(
            concept_id=concepts[box["concept"]],
            label=labels[concepts[box["concept"]]],
            score=_round(box["score"]),
            outcome=box["outcome"],
            matched=box["matched"],
            box=Box(*(_round(box[side]) for side in ("x", "y", "width", "height"))),
        )
        for box in arrays.boxes_of(int(arrays.items.image[place]))
    ]


def _predicted(arrays: EpochArrays, place: int) -> str | None:
    """The id of the predicted concept."""
    predicted, items = int(arrays.predicted[place]), arrays.items
    if items.positive is not None:
        return items.concepts[items.concept[place]] if predicted else None
    return None if predicted < 0 else items.concepts[predicted]


def _epoch(number: int) -> int | None:
    return None if number == NEVER else number


def _round(value: Any) -> float:
    return round(float(value), _DECIMALS)


def _rounded(values: NDArray[Any]) -> list[float]:
    rounded: list[float] = np.round(values.astype(np.float64), _DECIMALS).tolist()
    return rounded
