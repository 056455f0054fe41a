"""Two evaluated versions side by side."""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapters.evaluation.gallery import Evaluator, JudgedImage
from api.evaluation.evaluated import EvaluatedVersion
from api.evaluation.views import (
    Changes,
    ConceptResult,
    EvaluationView,
    changes,
    evaluation_view,
    place_in,
)
from projections.training.library_queries import VersionRow

FIXED, BROKEN, OTHER = "fixed", "broken", "other"


class OptionDifference(msgspec.Struct, frozen=True):
    """A training option whose values differ; None where it does not apply."""

    option: str
    first: Any
    second: Any


class Delta(msgspec.Struct, frozen=True):
    """The second version's figures less the first's; None where one of them is undefined."""

    precision: float | None
    recall: float | None
    f1: float | None
    average_precision: float | None
    average_precision_coco: float | None


class ConceptComparison(msgspec.Struct, frozen=True):
    """A concept in both versions; one of them may lack it."""

    concept_id: str
    label: str
    first: ConceptResult | None
    second: ConceptResult | None
    delta: Delta | None


class ChangedImage(msgspec.Struct, frozen=True):
    """An image that both were evaluated on, with another outcome.

    `change` is fixed (has an error in the first, none in the second), broken, or other.
    """

    image_id: str
    change: str
    first: JudgedImage
    second: JudgedImage


class ChangeCounts(msgspec.Struct, frozen=True):
    """Of the `shared` images of the split, those that changed, by kind."""

    shared: int
    fixed: int
    broken: int
    other: int


class ComparisonView(msgspec.Struct, frozen=True):
    """Two versions. With `warnings` their figures are not, or not all, to be compared.

    `complete` is as in an evaluation. Pass `next` as `cursor` for more changed images.
    """

    first: VersionRow
    second: VersionRow
    warnings: list[str]
    split: str
    options: list[OptionDifference]
    first_evaluation: EvaluationView
    second_evaluation: EvaluationView
    concepts: list[ConceptComparison]
    counts: ChangeCounts
    changed: list[ChangedImage]
    complete: bool
    next: str | None
    position: int


def comparison_view(
    first: EvaluatedVersion,
    second: EvaluatedVersion,
    *,
    split: str,
    change: str | None,
    cursor: str | None,
    limit: int,
) -> ComparisonView:
    """Raises `Invalid` for a cursor that is none."""
    evaluations = evaluation_view(first, split), evaluation_view(second, split)
    found = changes(first, second, split)
    kinds = _kinds(found)
    chosen = np.ones(len(kinds), np.bool_) if change is None else kinds == change
    after = place_in(first, cursor)
    if after is not None:
        chosen = chosen & (found.first > after)
    which = np.flatnonzero(chosen)[:limit]
    judges = [Evaluator(one.decided, one.thresholds, None) for one in (first, second)]
    return ComparisonView(
        first=first.version,
        second=second.version,
        warnings=_warnings(first, second),
        split=split,
        options=_options(first.version, second.version),
        first_evaluation=evaluations[0],
        second_evaluation=evaluations[1],
        concepts=_concepts(*evaluations),
        counts=ChangeCounts(
            found.shared, *(int((kinds == kind).sum()) for kind in (FIXED, BROKEN, OTHER))
        ),
        changed=[
            ChangedImage(
                first.answers.images.ids[found.first[n]],
                str(kinds[n]),
                judges[0].evaluate(int(found.first[n]), 0),
                judges[1].evaluate(int(found.second[n]), 0),
            )
            for n in which
        ],
        complete=all(one.complete for one in evaluations),
        next=str(found.first[which[-1]]) if len(which) == limit else None,
        position=first.position,
    )


def _kinds(found: Changes) -> NDArray[np.str_]:
    fixed, broken = ~found.was_right & found.is_right, found.was_right & ~found.is_right
    return np.where(fixed, FIXED, np.where(broken, BROKEN, OTHER))


def _warnings(first: EvaluatedVersion, second: EvaluatedVersion) -> list[str]:
    one, other = first.version, second.version
    told = []
    if one.view_id != other.view_id:
        told.append("The versions answer different views: the truth they are measured by differs.")
    if first.answers.kind != second.answers.kind:
        told.append(
            f"One is a {first.answers.kind}, the other a {second.answers.kind}: their figures do"
            " not mean the same."
        )
    if set(first.answers.concepts) != set(second.answers.concepts):
        told.append("Their concepts differ: figures over all concepts cannot be compared.")
    if one.validation_set is None or other.validation_set is None:
        told.append("It is not known whether both were validated on the same images.")
    elif one.validation_set != other.validation_set:
        told.append(
            "They were validated on different images: their validation figures cannot be compared."
        )
    return told


def _options(first: VersionRow, second: VersionRow) -> list[OptionDifference]:
    one, other = msgspec.to_builtins(first.options), msgspec.to_builtins(second.options)
    return [
        OptionDifference(key, one.get(key), other.get(key))
        for key in {**one, **other}
        if one.get(key) != other.get(key)
    ]


def _concepts(first: EvaluationView, second: EvaluationView) -> list[ConceptComparison]:
    one = {concept.concept_id: concept for concept in first.concepts}
    other = {concept.concept_id: concept for concept in second.concepts}
    return [
        ConceptComparison(
            key, known.label, one.get(key), other.get(key), _delta(one.get(key), other.get(key))
        )
        for key, known in ({**other, **one}).items()
    ]


def _delta(one: ConceptResult | None, other: ConceptResult | None) -> Delta | None:
    if one is None or other is None:
        return None

    def less(name: str) -> float | None:
        before, after = getattr(one, name), getattr(other, name)
        return None if before is None or after is None else after - before

    return Delta(*(less(name) for name in Delta.__struct_fields__))
