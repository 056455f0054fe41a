"""Evaluated versions: metrics, predictions, and the thresholds in force."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property

import msgspec
import numpy as np
from sqlalchemy import Connection

from adapters.blobs.blobs import BlobMissing
from adapters.evaluation.loading import PredictionsUnreadable
from adapters.evaluation.prediction_arrays import Decided, PredictionArrays
from adapters.evaluation.predictions_cache import Facts
from api.backend import Backend
from domain.dataset.annotation import Box
from domain.errors import Conflict, Gone, Invalid, NotFound
from domain.training.version import default_threshold
from projections.training.evaluations import EVALUATIONS, EvaluationRow, find_evaluation
from projections.training.library_queries import VersionRow, find_version
from projections.training.models_library import MODELS_LIBRARY
from projections.training.test_evaluations import (
    TEST_EVALUATIONS,
    EvaluationOnTestSet,
    newest_results,
)

SHOWN = (MODELS_LIBRARY, EVALUATIONS)
"""The read models of an evaluated version."""


class PredictionsGone(Gone):
    """The predictions of an evaluation are deleted or cannot be read."""


class EvaluatedVersion(msgspec.Struct, frozen=True, dict=True):
    """A version with its predictions; `thresholds` are those in force or previewed, by concept.

    `on_test_set` is its newest result on the test set, where two versions are compared.
    """

    backend: Backend
    version: VersionRow
    evaluation: EvaluationRow
    predictions: PredictionArrays
    thresholds: list[float]
    previewed: bool
    position: int
    on_test_set: EvaluationOnTestSet | None = None

    @cached_property
    def decided(self) -> Decided:
        return self.predictions.decide(np.array(self.thresholds))

    @cached_property
    def crops(self) -> Mapping[str, Box]:
        """Where the items are crops, the place of each by its key."""
        version = self.version
        if not version.options.crops or version.manifest is None:
            return {}
        return self.backend.crops.of(version.manifest)

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the version's concepts at its training, by id."""
        return {concept.concept_id: concept.label for concept in self.version.concepts}

    @property
    def recorded(self) -> list[float]:
        """The thresholds in force, without any preview."""
        return _recorded(self.version, self.evaluation, self.predictions.kind)

    def facts(self, split: str) -> Facts:
        assert self.evaluation.predictions is not None
        with _readable(self.version):
            return self.backend.predictions.facts(self.evaluation.predictions, split)

    def place_of_concept(self, concept_id: str, field: str = "concept") -> int:
        """The index of a concept in the version's list. Raises `Invalid`."""
        try:
            return self.predictions.concepts.index(concept_id)
        except ValueError:
            raise Invalid("this is not a concept of the version", field=field) from None

    def place_of_image(self, image_id: str) -> int:
        """The index of an image in the predictions. Raises `NotFound`."""
        try:
            return self.predictions.images.ids.index(image_id)
        except ValueError:
            raise NotFound("the version was not evaluated on this image") from None


def find_evaluated(
    backend: Backend,
    version_id: str,
    *,
    preview: Sequence[str] = (),
    at_least: int | None = None,
    as_of: str | None = None,
) -> EvaluatedVersion:
    """A version with its predictions, at the thresholds in force or at previewed ones.

    As of a past moment, the evaluation and the thresholds are those of that moment.

    Raises `NotFound`, `Conflict` if it is not evaluated, `PredictionsGone`, `Invalid`.
    """
    with backend.reading_as_of(as_of, at_least, *SHOWN) as (connection, position, at):
        version, evaluation = _require_evaluated(connection, version_id, at)
    return _with_predictions(backend, version, evaluation, preview, position)


def with_test_predictions(
    backend: Backend,
    version: VersionRow,
    evaluation: EvaluationRow,
    predictions: str,
    position: int,
) -> EvaluatedVersion:
    """A version with its predictions of the test set, at the thresholds in force.

    Raises `PredictionsGone`.
    """
    tested = msgspec.structs.replace(evaluation, predictions=predictions)
    return _with_predictions(backend, version, tested, (), position)


def find_two_evaluated(
    backend: Backend,
    first: str,
    second: str,
    *,
    at_least: int | None = None,
    as_of: str | None = None,
) -> tuple[EvaluatedVersion, EvaluatedVersion]:
    """Two versions with their predictions, as of one position."""
    both = first, second
    read_models = (*SHOWN, TEST_EVALUATIONS)
    with backend.reading_as_of(as_of, at_least, *read_models) as (connection, position, at):
        rows = [_require_evaluated(connection, version_id, at) for version_id in both]
        tested = newest_results(connection, both, as_of=at)
    first_version, second_version = (
        msgspec.structs.replace(
            _with_predictions(backend, *row, (), position), on_test_set=tested.get(version_id)
        )
        for version_id, row in zip(both, rows, strict=True)
    )
    return first_version, second_version


def check_is_evaluated(version: VersionRow, evaluation: EvaluationRow | None) -> EvaluationRow:
    """The evaluation. Raises `Conflict` with the reason if there are no predictions."""
    which = f"version {version.number} ({version.name})"
    if evaluation is None:
        raise Conflict(
            f"{which} is {version.status} and has not been evaluated yet; it is evaluated after"
            " its training"
        )
    if evaluation.predictions is None:
        raise Conflict(
            f"{which} was evaluated by an older Stemma that did not keep predictions; train a new"
            " version"
        )
    return evaluation


def _require_evaluated(
    connection: Connection, version_id: str, as_of: int | None
) -> tuple[VersionRow, EvaluationRow]:
    version = find_version(connection, version_id, as_of=as_of)
    if version is None:
        raise NotFound("version not found")
    evaluation = find_evaluation(connection, version_id, as_of=as_of)
    return version, check_is_evaluated(version, evaluation)


def _with_predictions(
    backend: Backend,
    version: VersionRow,
    evaluation: EvaluationRow,
    preview: Sequence[str],
    position: int,
) -> EvaluatedVersion:
    assert evaluation.predictions is not None
    with _readable(version):
        predictions = backend.predictions.get(evaluation.predictions)
        if predictions.concepts != tuple(concept.concept_id for concept in version.concepts):
            raise PredictionsUnreadable("its concepts are not those of the version")
    recorded = _recorded(version, evaluation, predictions.kind)
    thresholds = _previewed(preview, predictions.concepts, recorded)
    return EvaluatedVersion(
        backend, version, evaluation, predictions, thresholds, thresholds != recorded, position
    )


@contextmanager
def _readable(version: VersionRow) -> Iterator[None]:
    which = f"the predictions of version {version.number} ({version.name})"
    try:
        yield
    except BlobMissing as error:
        raise PredictionsGone(
            f"{which} are no longer stored ({error}): they were erased, or the blob store has"
            " lost them; its metrics remain, and a new version will have predictions"
        ) from error
    except PredictionsUnreadable as error:
        raise PredictionsGone(f"{which} cannot be used: {error}; tell your operator") from error


def _recorded(version: VersionRow, evaluation: EvaluationRow, kind: str) -> list[float]:
    default = default_threshold(kind)
    return [evaluation.thresholds.get(concept.concept_id, default) for concept in version.concepts]


def _previewed(
    preview: Sequence[str], concepts: tuple[str, ...], recorded: list[float]
) -> list[float]:
    """The thresholds with a preview: `0.4` is for all concepts, `id:0.4` for one; the last one
    wins."""
    thresholds: Mapping[str, float] = dict(zip(concepts, recorded, strict=True))
    for text in preview:
        concept_id, _, number = text.rpartition(":")
        if concept_id and concept_id not in thresholds:
            raise Invalid("this is not a concept of the version", field="threshold")
        value = _threshold(number)
        thresholds = {
            key: value if key == concept_id or not concept_id else threshold
            for key, threshold in thresholds.items()
        }
    return [thresholds[key] for key in concepts]


def _threshold(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise Invalid(
            "threshold must be a number from 0 to 1, or CONCEPT:NUMBER", field="threshold"
        )
    return value
