"""Comparisons of two evaluated versions."""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapters.evaluation.gallery import Evaluator, ImageResult
from api.evaluation.evaluated import EvaluatedVersion
from api.evaluation.views import (
    Changes,
    ConceptResult,
    EvaluationView,
    changes,
    evaluation_view,
    place_in,
)
from domain.training.adoption import NOT_WITNESSED
from projections.training.library_queries import VersionRow
from projections.training.test_evaluations import EvaluationOnTestSet

FIXED, BROKEN, OTHER = "fixed", "broken", "other"


class OptionDifference(msgspec.Struct, frozen=True):
    """A training option whose values differ; None where it does not apply."""

    option: str
    first: Any
    second: Any


class Delta(msgspec.Struct, frozen=True):
    """The second version's metrics minus the first's; None where either is undefined."""

    precision: float | None
    recall: float | None
    f1: float | None
    average_precision: float | None
    average_precision_coco: float | None


class ConceptComparison(msgspec.Struct, frozen=True):
    """A concept in both versions; it may be missing in one of them."""

    concept_id: str
    label: str
    first: ConceptResult | None
    second: ConceptResult | None
    delta: Delta | None


class ChangedImage(msgspec.Struct, frozen=True):
    """An image on which both were evaluated with different outcomes.

    `change` is fixed (has an error in the first, none in the second), broken, or other.
    """

    image_id: str
    change: str
    first: ImageResult
    second: ImageResult


class ChangeCounts(msgspec.Struct, frozen=True):
    """The number of changed images by kind, among the `shared` images of the split."""

    shared: int
    fixed: int
    broken: int
    other: int


class TestComparison(msgspec.Struct, frozen=True):
    """The newest results of both versions on the test set; `same_images` is whether these were the
    same with the same annotations."""

    first: EvaluationOnTestSet
    second: EvaluationOnTestSet
    same_images: bool


class ComparisonView(msgspec.Struct, frozen=True):
    """A comparison. `warnings` are reasons why metrics cannot, or not all, be compared.

    `test` is null unless both versions were evaluated on the test set.
    `complete` is as in an evaluation. Pass `next` as `cursor` for more changed images.
    """

    first: VersionRow
    second: VersionRow
    warnings: list[str]
    split: str
    options: list[OptionDifference]
    first_evaluation: EvaluationView
    second_evaluation: EvaluationView
    test: TestComparison | None
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
    """A comparison on a split. Raises `Invalid` for a malformed cursor."""
    evaluations = evaluation_view(first, split), evaluation_view(second, split)
    differing = changes(first, second, split)
    kinds = _kinds(differing)
    chosen = np.ones(len(kinds), np.bool_) if change is None else kinds == change
    after = place_in(first, cursor)
    if after is not None:
        chosen = chosen & (differing.first > after)
    which = np.flatnonzero(chosen)[:limit]
    evaluators = [
        Evaluator(each.decided, each.thresholds, None, each.crops) for each in (first, second)
    ]
    return ComparisonView(
        first=first.version,
        second=second.version,
        warnings=_warnings(first, second),
        split=split,
        options=_options(first.version, second.version),
        first_evaluation=evaluations[0],
        second_evaluation=evaluations[1],
        test=_test(first, second),
        concepts=_concepts(*evaluations),
        counts=ChangeCounts(
            differing.shared, *(int((kinds == kind).sum()) for kind in (FIXED, BROKEN, OTHER))
        ),
        changed=[
            ChangedImage(
                first.predictions.images.ids[differing.first[n]],
                str(kinds[n]),
                evaluators[0].evaluate(int(differing.first[n]), 0),
                evaluators[1].evaluate(int(differing.second[n]), 0),
            )
            for n in which
        ],
        complete=all(evaluation.complete for evaluation in evaluations),
        next=str(differing.first[which[-1]]) if len(which) == limit else None,
        position=first.position,
    )


def _kinds(differing: Changes) -> NDArray[np.str_]:
    fixed, broken = (
        ~differing.was_right & differing.is_right,
        differing.was_right & ~differing.is_right,
    )
    return np.where(fixed, FIXED, np.where(broken, BROKEN, OTHER))


def _warnings(first: EvaluatedVersion, second: EvaluatedVersion) -> list[str]:
    earlier, later = first.version, second.version
    texts = []
    if earlier.view_id != later.view_id:
        texts.append(
            "The versions belong to different views: they are measured against different"
            " annotations."
        )
    texts += [
        f"{version.name} was adopted: its training was not witnessed, and may have seen images that"
        " validate."
        for version in (earlier, later)
        if version.adopted
    ]
    if first.predictions.kind != second.predictions.kind:
        texts.append(
            f"One is a {first.predictions.kind}, the other a {second.predictions.kind}: their"
            " metrics have different meanings."
        )
    if set(first.predictions.concepts) != set(second.predictions.concepts):
        texts.append("Their concepts differ: metrics over all concepts cannot be compared.")
    if earlier.validation_set is None or later.validation_set is None:
        texts.append("It is unknown whether both were validated on the same images.")
    elif earlier.validation_set != later.validation_set:
        texts.append(
            "They were validated on different images: their validation metrics cannot be compared."
        )
    test = _test(first, second)
    if test is not None and not test.same_images:
        texts.append(
            "They were evaluated on different test images, or on other annotations of them: their"
            " metrics on the test set cannot be compared."
        )
    return texts


def _test(first: EvaluatedVersion, second: EvaluatedVersion) -> TestComparison | None:
    before, after = first.on_test_set, second.on_test_set
    if before is None or after is None:
        return None
    return TestComparison(before, after, before.manifest == after.manifest)


def _options_of(version: VersionRow) -> dict[str, Any]:
    if version.trainer is not None:
        adopted = {"training": NOT_WITNESSED} if version.adopted else {}
        return {"trainer": version.trainer.name, **adopted, **version.trainer.settings}
    options: dict[str, Any] = msgspec.to_builtins(version.options)
    return options


def _options(first: VersionRow, second: VersionRow) -> list[OptionDifference]:
    before, after = _options_of(first), _options_of(second)
    return [
        OptionDifference(key, before.get(key), after.get(key))
        for key in {**before, **after}
        if before.get(key) != after.get(key)
    ]


def _concepts(first: EvaluationView, second: EvaluationView) -> list[ConceptComparison]:
    before = {concept.concept_id: concept for concept in first.concepts}
    after = {concept.concept_id: concept for concept in second.concepts}
    return [
        ConceptComparison(
            key,
            concept.label,
            before.get(key),
            after.get(key),
            _delta(before.get(key), after.get(key)),
        )
        for key, concept in ({**after, **before}).items()
    ]


def _delta(first: ConceptResult | None, second: ConceptResult | None) -> Delta | None:
    if first is None or second is None:
        return None

    def less(name: str) -> float | None:
        before, after = getattr(first, name), getattr(second, name)
        return None if before is None or after is None else after - before

    return Delta(*(less(name) for name in Delta.__struct_fields__))
