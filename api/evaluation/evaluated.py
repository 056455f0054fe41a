"""A version as evaluated: its figures, its predictions, the thresholds in force."""

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
from domain.errors import Conflict, Gone, Invalid, NotFound
from domain.training.version import default_threshold
from projections.training.evaluations import EVALUATIONS, EvaluationRow, find_evaluation
from projections.training.library_queries import VersionRow, find_version
from projections.training.models_library import MODELS_LIBRARY

SHOWN = (MODELS_LIBRARY, EVALUATIONS)
"""The read models that an evaluated version is from."""


class PredictionsGone(Gone):
    """The predictions of an evaluation are not there any more, or not usable."""


class EvaluatedVersion(msgspec.Struct, frozen=True, dict=True):
    """`thresholds` are those in force or previewed, in the order of the version's concepts."""

    backend: Backend
    version: VersionRow
    evaluation: EvaluationRow
    answers: PredictionArrays
    thresholds: list[float]
    previewed: bool
    position: int

    @cached_property
    def decided(self) -> Decided:
        return self.answers.decide(np.array(self.thresholds))

    @property
    def labels(self) -> dict[str, str]:
        """Concepts' labels as the version was trained with them, by id."""
        return {concept.concept_id: concept.label for concept in self.version.concepts}

    @property
    def recorded(self) -> list[float]:
        """The thresholds in force, whatever is previewed."""
        return _recorded(self.version, self.evaluation, self.answers.kind)

    def facts(self, split: str) -> Facts:
        assert self.evaluation.predictions is not None
        with _readable(self.version):
            return self.backend.predictions.facts(self.evaluation.predictions, split)

    def place_of_concept(self, concept_id: str, field: str = "concept") -> int:
        """A concept's place in the version's list. Raises `Invalid`."""
        try:
            return self.answers.concepts.index(concept_id)
        except ValueError:
            raise Invalid("this is no concept of the version", field=field) from None

    def place_of_image(self, image_id: str) -> int:
        """An image's place in the predictions. Raises `NotFound`."""
        try:
            return self.answers.images.ids.index(image_id)
        except ValueError:
            raise NotFound("the version was not evaluated on such an image") from None


def find_evaluated(
    backend: Backend,
    version_id: str,
    *,
    preview: Sequence[str] = (),
    at_least: int | None = None,
    as_of: str | None = None,
) -> EvaluatedVersion:
    """A version with its predictions, under the thresholds in force or a preview of others.

    As of a past moment, the evaluation and the thresholds are those that held then.

    Raises `NotFound`, `Conflict` for one that is not evaluated, `PredictionsGone`, `Invalid`.
    """
    with backend.reading_as_of(as_of, at_least, *SHOWN) as (connection, position, at):
        version, evaluation = _found(connection, version_id, at)
    return _with_predictions(backend, version, evaluation, preview, position)


def find_two_evaluated(
    backend: Backend,
    first: str,
    second: str,
    *,
    at_least: int | None = None,
    as_of: str | None = None,
) -> tuple[EvaluatedVersion, EvaluatedVersion]:
    """The same of two versions, as they were at one position."""
    with backend.reading_as_of(as_of, at_least, *SHOWN) as (connection, position, at):
        rows = [_found(connection, version_id, at) for version_id in (first, second)]
    one, other = (_with_predictions(backend, *row, (), position) for row in rows)
    return one, other


def check_is_evaluated(version: VersionRow, evaluation: EvaluationRow | None) -> EvaluationRow:
    """Raises `Conflict` with the reason if there are no predictions to look at."""
    which = f"version {version.number} ({version.name})"
    if evaluation is None:
        raise Conflict(
            f"{which} is {version.status} and has not been evaluated;"
            " that happens after its training"
        )
    if evaluation.predictions is None:
        raise Conflict(
            f"{which} was evaluated when predictions were not kept yet; train a version anew"
        )
    return evaluation


def _found(
    connection: Connection, version_id: str, as_of: int | None
) -> tuple[VersionRow, EvaluationRow]:
    version = find_version(connection, version_id, as_of=as_of)
    if version is None:
        raise NotFound("there is no such version")
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
        answers = backend.predictions.get(evaluation.predictions)
        if answers.concepts != tuple(concept.concept_id for concept in version.concepts):
            raise PredictionsUnreadable("its concepts are not those of the version")
    recorded = _recorded(version, evaluation, answers.kind)
    thresholds = _previewed(preview, answers.concepts, recorded)
    return EvaluatedVersion(
        backend, version, evaluation, answers, thresholds, thresholds != recorded, position
    )


@contextmanager
def _readable(version: VersionRow) -> Iterator[None]:
    which = f"the predictions of version {version.number} ({version.name})"
    try:
        yield
    except BlobMissing as error:
        raise PredictionsGone(
            f"{which} are not stored any more ({error}): they were erased, or the blob store has"
            " lost them; its figures stay, and a version that is trained anew has predictions"
        ) from error
    except PredictionsUnreadable as error:
        raise PredictionsGone(f"{which} cannot be used: {error}; tell your operator") from error


def _recorded(version: VersionRow, evaluation: EvaluationRow, kind: str) -> list[float]:
    default = default_threshold(kind)
    return [evaluation.thresholds.get(one.concept_id, default) for one in version.concepts]


def _previewed(
    preview: Sequence[str], concepts: tuple[str, ...], recorded: list[float]
) -> list[float]:
    """`0.4` for all concepts, `id:0.4` for one; later ones win."""
    found: Mapping[str, float] = dict(zip(concepts, recorded, strict=True))
    for text in preview:
        concept_id, _, number = text.rpartition(":")
        if concept_id and concept_id not in found:
            raise Invalid("this is no concept of the version", field="threshold")
        value = _threshold(number)
        found = {
            key: value if key == concept_id or not concept_id else known
            for key, known in found.items()
        }
    return [found[key] for key in concepts]


def _threshold(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise Invalid("threshold is a number from 0 to 1, or CONCEPT:NUMBER", field="threshold")
    return value
