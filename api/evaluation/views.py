"""Views of an evaluated version, for the routes and pages of an evaluation."""

from datetime import datetime
from typing import Any

import msgspec
import numpy as np

from adapters.evaluation import metrics
from adapters.evaluation.gallery import (
    DISCARDED_AT_MOST,
    Evaluator,
    Gallery,
    GalleryQuery,
    ImageResult,
    gallery,
)
from adapters.evaluation.metrics import Curve
from adapters.evaluation.prediction_arrays import Bools, Counts, DecidedLabels, Labels
from api.evaluation.evaluated import EvaluatedVersion
from api.evaluation.gallery_request import GalleryRequest
from domain.errors import Invalid
from domain.training.messages import ConceptLabel, SplitFigures
from domain.training.results import MetricDifference

NOTHING = "nothing"
"""Stands for no prediction in a confusion matrix: no score reached its threshold."""


class ConceptResult(msgspec.Struct, frozen=True):
    """The metrics of a concept on a split; None stands for undefined, such as 0 of 0.

    `support` is the number of images with the concept, or of its boxes. `average_precision` is, in
    classification and tagging, that of the concept against the rest; in detection, COCO's at IoU
    0.50, and `average_precision_coco` is COCO's over IoU 0.50 to 0.95. `threshold` is the threshold
    of these metrics, `recorded_threshold` the recorded one; `best_threshold` has the highest F1.
    """

    concept_id: str
    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    average_precision: float | None
    average_precision_coco: float | None
    support: int
    threshold: float
    recorded_threshold: float
    best_threshold: float | None
    best_f1: float | None


class EvaluationView(msgspec.Struct, frozen=True):
    """An evaluation; `validation` and `train` are as the server measured them, or as the worker did
    if `differences` is null. `differences` are the metrics that the worker reported otherwise.

    All other fields are about `split` at the given thresholds: `accuracy` is the share of images
    without an error, None for detection. While not `complete`, COCO's metrics of the concepts are
    still being computed: request the evaluation again.
    """

    version_id: str
    kind: str
    checkpoint: str
    evaluated_at: datetime
    validation: SplitFigures
    train: SplitFigures | None
    split: str
    images: int
    errors: int
    accuracy: float | None
    concepts: list[ConceptResult]
    complete: bool
    previewed: bool
    position: int
    differences: list[MetricDifference] | None


class CurveView(msgspec.Struct, frozen=True):
    """Precision and recall by ascending threshold, at a few hundred of all thresholds.

    The last point, at recall 0, has no threshold. Without a positive in the truth there is no
    curve.
    """

    concept_id: str
    label: str
    split: str
    curve: Curve | None
    average_precision: float | None
    average_precision_coco: float | None
    threshold: float
    best_threshold: float | None
    complete: bool
    position: int


class ConfusionView(msgspec.Struct, frozen=True):
    """The number of images by true concept (rows) and predicted concept (columns), in the order of
    `concepts`.

    The last column counts images without a prediction.
    """

    split: str
    concepts: list[ConceptLabel]
    matrix: list[list[int]]
    position: int


class GalleryView(msgspec.Struct, frozen=True):
    """A page of images. `count` is the number of matches; pass `next` as `cursor` for the next
    page."""

    items: list[ImageResult]
    count: int
    next: str | None
    position: int


class ImageResultView(msgspec.Struct, frozen=True):
    image: ImageResult
    position: int


def evaluation_view(evaluated: EvaluatedVersion, split: str) -> EvaluationView:
    predictions, decided = evaluated.predictions, evaluated.decided
    within = predictions.images.in_split(split)
    facts = evaluated.facts(split)
    rows = zip(
        evaluated.version.concepts,
        metrics.concept_metrics(decided, within),
        facts.concepts,
        evaluated.thresholds,
        evaluated.recorded,
        strict=True,
    )
    wrong = decided.false_positives(None) + decided.false_negatives(None) > 0
    return EvaluationView(
        version_id=evaluated.version.version_id,
        kind=predictions.kind,
        checkpoint=evaluated.evaluation.checkpoint,
        evaluated_at=evaluated.evaluation.evaluated_at,
        validation=evaluated.evaluation.validation,
        train=evaluated.evaluation.train,
        split=split,
        images=int(within.sum()),
        errors=int((wrong & within).sum()),
        accuracy=metrics.accuracy(decided, within) if isinstance(decided, DecidedLabels) else None,
        concepts=[
            ConceptResult(
                concept_id=concept.concept_id,
                label=concept.label,
                precision=at.precision,
                recall=at.recall,
                f1=at.f1,
                average_precision=fact.average_precision,
                average_precision_coco=fact.average_precision_coco,
                support=at.support,
                threshold=threshold,
                recorded_threshold=recorded,
                best_threshold=fact.best_threshold,
                best_f1=fact.best_f1,
            )
            for concept, at, fact, threshold, recorded in rows
        ],
        complete=facts.complete,
        previewed=evaluated.previewed,
        position=evaluated.position,
        differences=evaluated.evaluation.differences,
    )


def curve_view(evaluated: EvaluatedVersion, concept_id: str, split: str) -> CurveView:
    place = evaluated.place_of_concept(concept_id)
    predictions, facts = evaluated.predictions, evaluated.facts(split)
    fact = facts.concepts[place]
    return CurveView(
        concept_id=concept_id,
        label=evaluated.labels[concept_id],
        split=split,
        curve=metrics.curve(predictions, place, predictions.images.in_split(split)),
        average_precision=fact.average_precision,
        average_precision_coco=fact.average_precision_coco,
        threshold=evaluated.thresholds[place],
        best_threshold=fact.best_threshold,
        complete=facts.complete,
        position=evaluated.position,
    )


def confusion_view(evaluated: EvaluatedVersion, split: str) -> ConfusionView:
    """The confusion matrix of a split. Raises `Invalid` unless the version is a classification."""
    decided = evaluated.decided
    if not isinstance(decided, DecidedLabels) or not decided.predictions.single:
        raise Invalid(
            "only a classification has a confusion matrix, and this is a"
            f" {evaluated.predictions.kind}"
        )
    within = evaluated.predictions.images.in_split(split)
    matrix = metrics.confusion(decided, within)
    return ConfusionView(split, evaluated.version.concepts, matrix, evaluated.position)


def gallery_of(evaluated: EvaluatedVersion, shown: GalleryRequest) -> Gallery:
    """The gallery of a query. Raises `Invalid`."""
    if shown.show == "misclassified" and not _is_single(evaluated):
        raise Invalid("misclassified is for classification only", field="show")
    return gallery(
        evaluated.decided,
        GalleryQuery(
            split=shown.split,
            show=shown.show,
            concept=_place(evaluated, shown.concept, "concept"),
            true=_place(evaluated, shown.actual, "actual"),
            predicted=len(evaluated.predictions.concepts)
            if shown.predicted == NOTHING
            else _place(evaluated, shown.predicted, "predicted"),
            sort=shown.sort,
            from_score=shown.from_score,
        ),
    )


def gallery_view(
    evaluated: EvaluatedVersion, shown: GalleryRequest, cursor: str | None, limit: int
) -> GalleryView:
    matching = gallery_of(evaluated, shown)
    places = matching.after(place_in(evaluated, cursor), limit)
    following = str(places[-1]) if len(places) == limit else None
    return GalleryView(
        judged(evaluated, places, shown.concept), matching.count, following, evaluated.position
    )


def judged(
    evaluated: EvaluatedVersion,
    places: list[int],
    concept: str | None,
    discarded_at_most: int | None = DISCARDED_AT_MOST,
) -> list[ImageResult]:
    evaluator = Evaluator(
        evaluated.decided,
        evaluated.thresholds,
        _place(evaluated, concept, "concept"),
        evaluated.crops,
    )
    return [evaluator.evaluate(place, discarded_at_most) for place in places]


def place_in(evaluated: EvaluatedVersion, cursor: str | None) -> int | None:
    """The index of the image in a cursor. Raises `Invalid`."""
    if cursor is None:
        return None
    count = len(evaluated.predictions.images.ids)
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 12 and int(cursor) < count):
        raise Invalid("cursor must be the `next` of the previous page, unchanged", field="cursor")
    return int(cursor)


def changes(
    first_version: EvaluatedVersion, second_version: EvaluatedVersion, split: str
) -> "Changes":
    """The images of both versions whose outcomes differ between them."""
    own, theirs = first_version.predictions.images, second_version.predictions.images
    elsewhere = {image: place for place, image in enumerate(theirs.ids)}
    indexes = np.flatnonzero(own.in_split(split))
    pairs = [(p, elsewhere[own.ids[p]]) for p in indexes.tolist() if own.ids[p] in elsewhere]
    first = np.array([pair[0] for pair in pairs], np.int64)
    second = np.array([pair[1] for pair in pairs], np.int64)
    before, after = _errors(first_version)[first], _errors(second_version)[second]
    differs: Any = (before != after).any(axis=1)
    was_right: Bools = np.logical_not(before.any(axis=1))
    is_right: Bools = np.logical_not(after.any(axis=1))
    return Changes(
        first[differs], second[differs], was_right[differs], is_right[differs], len(pairs)
    )


class Changes(msgspec.Struct, frozen=True):
    """Indexes of images in both versions' predictions; `right` means without any error."""

    first: Counts
    second: Counts
    was_right: Bools
    is_right: Bools
    shared: int


def _errors(evaluated: EvaluatedVersion) -> Counts:
    return Evaluator(evaluated.decided, evaluated.thresholds, None).outcomes()


def _is_single(evaluated: EvaluatedVersion) -> bool:
    return isinstance(evaluated.predictions, Labels) and evaluated.predictions.single


def _place(evaluated: EvaluatedVersion, concept_id: str | None, field: str) -> int | None:
    return None if concept_id is None else evaluated.place_of_concept(concept_id, field)
