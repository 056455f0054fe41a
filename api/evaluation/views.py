"""What the routes and pages of an evaluation answer with, made from an evaluated version."""

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
    JudgedImage,
    gallery,
)
from adapters.evaluation.metrics import Curve
from adapters.evaluation.prediction_arrays import Bools, Counts, DecidedLabels, Labels
from api.evaluation.evaluated import EvaluatedVersion
from domain.errors import Invalid
from domain.training.messages import ConceptLabel, SplitFigures

NOTHING = "nothing"
"""In place of a concept in a confusion matrix: no score reached its threshold."""


class ConceptResult(msgspec.Struct, frozen=True):
    """What a concept comes to on a split; None is what is undefined, such as 0 of 0.

    `support` counts images that hold it, or its boxes. `average_precision` is, of classification
    and tagging, that of the concept against the rest; of detection COCO's at IoU 0.50, and
    `average_precision_coco` COCO's over IoU 0.50 to 0.95. `threshold` is the one that these
    figures are at, `recorded_threshold` the one in force; `best_threshold` has the highest F1.
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
    """An evaluation; `validation` and `train` are as the worker measured them.

    All else is about `split` and at the thresholds given: `accuracy` is the share of images whose
    answers are all right, not measured for detection. Not `complete` means that COCO's figures of
    the concepts are still being worked out: ask again.
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


class CurveView(msgspec.Struct, frozen=True):
    """Precision and recall by rising threshold, at a few hundred of all thresholds.

    The last point, at recall 0, has no threshold. Without a true answer there is no curve.
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
    """Images by true concept (rows) and predicted one (columns), both in the order of `concepts`.

    The last column is of images for which nothing is predicted.
    """

    split: str
    concepts: list[ConceptLabel]
    matrix: list[list[int]]
    position: int


class GalleryView(msgspec.Struct, frozen=True):
    """A page of images. `count` are all that match; pass `next` as `cursor` for what follows."""

    items: list[JudgedImage]
    count: int
    next: str | None
    position: int


class JudgedView(msgspec.Struct, frozen=True):
    image: JudgedImage
    position: int


def evaluation_view(found: EvaluatedVersion, split: str) -> EvaluationView:
    answers, decided = found.answers, found.decided
    within = answers.images.in_split(split)
    facts = found.facts(split)
    rows = zip(
        found.version.concepts,
        metrics.concept_metrics(decided, within),
        facts.concepts,
        found.thresholds,
        found.recorded,
        strict=True,
    )
    wrong = decided.false_positives(None) + decided.false_negatives(None) > 0
    return EvaluationView(
        version_id=found.version.version_id,
        kind=answers.kind,
        checkpoint=found.evaluation.checkpoint,
        evaluated_at=found.evaluation.evaluated_at,
        validation=found.evaluation.validation,
        train=found.evaluation.train,
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
        previewed=found.previewed,
        position=found.position,
    )


def curve_view(found: EvaluatedVersion, concept_id: str, split: str) -> CurveView:
    place = found.place_of_concept(concept_id)
    facts = found.facts(split)
    fact = facts.concepts[place]
    return CurveView(
        concept_id=concept_id,
        label=found.labels[concept_id],
        split=split,
        curve=metrics.curve(found.answers, place, found.answers.images.in_split(split)),
        average_precision=fact.average_precision,
        average_precision_coco=fact.average_precision_coco,
        threshold=found.thresholds[place],
        best_threshold=fact.best_threshold,
        complete=facts.complete,
        position=found.position,
    )


def confusion_view(found: EvaluatedVersion, split: str) -> ConfusionView:
    """Raises `Invalid` for other kinds than classification."""
    decided = found.decided
    if not isinstance(decided, DecidedLabels) or not decided.predictions.single:
        raise Invalid(
            f"a confusion matrix is of a classification, and this is a {found.answers.kind}"
        )
    within = found.answers.images.in_split(split)
    matrix = metrics.confusion(decided, within)
    return ConfusionView(split, found.version.concepts, matrix, found.position)


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """Which images are asked for, in the words of a request; concepts are ids."""

    split: str = "validation"
    show: str = "all"
    concept: str | None = None
    true: str | None = None
    said: str | None = None
    sort: str = "image"
    from_score: float | None = None


def gallery_of(found: EvaluatedVersion, shown: Shown) -> Gallery:
    """Raises `Invalid`."""
    if shown.show == "misclassified" and not _is_single(found):
        raise Invalid("only images of a classification are misclassified", field="show")
    return gallery(
        found.decided,
        GalleryQuery(
            split=shown.split,
            show=shown.show,
            concept=_place(found, shown.concept, "concept"),
            true=_place(found, shown.true, "true"),
            predicted=len(found.answers.concepts)
            if shown.said == NOTHING
            else _place(found, shown.said, "said"),
            sort=shown.sort,
            from_score=shown.from_score,
        ),
    )


def gallery_view(
    found: EvaluatedVersion, shown: Shown, cursor: str | None, limit: int
) -> GalleryView:
    matching = gallery_of(found, shown)
    places = matching.after(place_in(found, cursor), limit)
    following = str(places[-1]) if len(places) == limit else None
    return GalleryView(
        judged(found, places, shown.concept), matching.count, following, found.position
    )


def judged(
    found: EvaluatedVersion,
    places: list[int],
    concept: str | None,
    discarded_at_most: int | None = DISCARDED_AT_MOST,
) -> list[JudgedImage]:
    judge = Evaluator(found.decided, found.thresholds, _place(found, concept, "concept"))
    return [judge.evaluate(place, discarded_at_most) for place in places]


def place_in(found: EvaluatedVersion, cursor: str | None) -> int | None:
    """The place of an image that a cursor names. Raises `Invalid`."""
    if cursor is None:
        return None
    known = len(found.answers.images.ids)
    if not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 12 and int(cursor) < known):
        raise Invalid("cursor is the `next` of the page before, as it was", field="cursor")
    return int(cursor)


def changes(one: EvaluatedVersion, other: EvaluatedVersion, split: str) -> "Changes":
    """Which images of both versions have another outcome in the other one."""
    own, theirs = one.answers.images, other.answers.images
    elsewhere = {image: place for place, image in enumerate(theirs.ids)}
    wanted = np.flatnonzero(own.in_split(split))
    pairs = [(p, elsewhere[own.ids[p]]) for p in wanted.tolist() if own.ids[p] in elsewhere]
    first = np.array([pair[0] for pair in pairs], np.int64)
    second = np.array([pair[1] for pair in pairs], np.int64)
    before, after = _errors(one)[first], _errors(other)[second]
    differs: Any = (before != after).any(axis=1)
    was_right: Bools = np.logical_not(before.any(axis=1))
    is_right: Bools = np.logical_not(after.any(axis=1))
    return Changes(
        first[differs], second[differs], was_right[differs], is_right[differs], len(pairs)
    )


class Changes(msgspec.Struct, frozen=True):
    """Places of images in both versions' predictions; `right` is without any error."""

    first: Counts
    second: Counts
    was_right: Bools
    is_right: Bools
    shared: int


def _errors(found: EvaluatedVersion) -> Counts:
    return Evaluator(found.decided, found.thresholds, None).outcomes()


def _is_single(found: EvaluatedVersion) -> bool:
    return isinstance(found.answers, Labels) and found.answers.single


def _place(found: EvaluatedVersion, concept_id: str | None, field: str) -> int | None:
    return None if concept_id is None else found.place_of_concept(concept_id, field)
