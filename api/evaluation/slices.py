"""Routes of slices, by metadata value, and of the calibration of scores."""

from typing import Annotated

import msgspec
from litestar import Controller, get
from litestar.params import FromPath, FromQuery, QueryParameter

from adapters.evaluation.metrics import CalibrationBin, reliability
from adapters.evaluation.slices import MOST, Slice, slices
from api.access.guard import demand
from api.access.rights import needs
from api.evaluation.evaluated import EvaluatedVersion, find_evaluated, find_two_evaluated
from api.evaluation.evaluation import Preview
from api.http.parameters import AsOf, AtLeast, HttpRequest, Served
from api.http.schemas import Split
from domain.access.roles import Right
from domain.aggregates import VERSION
from domain.library.view import DETECTION
from projections.dataset.dataset import DATASET
from projections.dataset.queries import metadata_keys, metadata_values

Key = Annotated[
    str | None,
    QueryParameter(name="key", description="A metadata key of the images; without one, no slices"),
]


class SlicesView(msgspec.Struct, frozen=True):
    """The slices of a split by the values of `key`, the worst first; `keys` are all there are.

    `metric` names what the slices are ordered by: `accuracy`, the share of images without an error,
    or `f1` over the boxes of all concepts. The worst slices are listed; `omitted` is the number of
    others.
    """

    keys: list[str]
    key: str | None
    split: str
    metric: str
    items: list[Slice]
    omitted: int
    position: int


class SliceComparison(msgspec.Struct, frozen=True):
    """A slice in both versions, on the images on which both were evaluated."""

    value: str | None
    images: int
    first: float | None
    second: float | None
    delta: float | None


class SliceComparisonView(msgspec.Struct, frozen=True):
    """Slices of both versions, by how much worse the second is."""

    keys: list[str]
    key: str | None
    split: str
    metric: str
    items: list[SliceComparison]
    omitted: int
    position: int


class CalibrationView(msgspec.Struct, frozen=True):
    """A reliability diagram: in each bin of scores, the share of predictions that are right."""

    split: str
    bins: list[CalibrationBin]
    position: int


class SliceController(Controller):
    """Slices and calibration."""

    path = "/versions/{version_id:str}"
    tags = ("Evaluation",)

    @get(
        "/evaluation/slices",
        summary="Metrics by metadata value",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def get_slices(
        self,
        backend: Served,
        version_id: FromPath[str],
        key: Key = None,
        split: FromQuery[Split] = "validation",
        threshold: Preview = None,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> SlicesView:
        """The metric on the images of each value of a metadata key, the worst value first.

        The metadata is the current one; that of erased images is erased.
        """
        evaluated = find_evaluated(
            backend, version_id, preview=threshold or (), at_least=at_least, as_of=as_of
        )
        return slices_view(evaluated, key, split)

    @get(
        "/compare/{other_id:str}/slices",
        summary="Compare two versions by metadata value",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def compare_slices(
        self,
        backend: Served,
        request: HttpRequest,
        version_id: FromPath[str],
        other_id: FromPath[str],
        key: Key = None,
        split: FromQuery[Split] = "validation",
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> SliceComparisonView:
        """The slices of two versions, on the images on which both were evaluated."""
        demand(backend, request.user, Right.READ, VERSION.stream(other_id))
        first, second = find_two_evaluated(
            backend, version_id, other_id, at_least=at_least, as_of=as_of
        )
        return slice_comparison(first, second, key, split)

    @get(
        "/evaluation/calibration",
        summary="The reliability diagram",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def get_calibration(
        self,
        backend: Served,
        version_id: FromPath[str],
        split: FromQuery[Split] = "validation",
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> CalibrationView:
        """The share of right predictions by score, independent of thresholds.

        A prediction is an image's highest score in classification, each score in tagging, each box
        in detection. The calibration error is among the metrics of `GET …/evaluation`.
        """
        evaluated = find_evaluated(backend, version_id, at_least=at_least, as_of=as_of)
        return calibration_view(evaluated, split)


def slices_view(evaluated: EvaluatedVersion, key: str | None, split: str) -> SlicesView:
    keys, values = _metadata(evaluated, key)
    found = []
    if key is not None:
        within = evaluated.predictions.images.in_split(split)
        found = slices(evaluated.decided, within, values)
    return SlicesView(
        keys,
        key,
        split,
        _metric(evaluated),
        found[:MOST],
        max(len(found) - MOST, 0),
        evaluated.position,
    )


def slice_comparison(
    first: EvaluatedVersion, second: EvaluatedVersion, key: str | None, split: str
) -> SliceComparisonView:
    keys, values = _metadata(first, key)
    found: list[SliceComparison] = []
    if key is not None:
        by_version = []
        for one, other in ((first, second), (second, first)):
            images, theirs = one.predictions.images, set(other.predictions.images.ids)
            shared = images.in_split(split).copy()
            shared[[place for place, key in enumerate(images.ids) if key not in theirs]] = False
            by_version.append({each.value: each for each in slices(one.decided, shared, values)})
        before, after = by_version
        for value in before.keys() & after.keys():
            earlier, later = before[value].metric, after[value].metric
            delta = None if earlier is None or later is None else later - earlier
            found.append(SliceComparison(value, after[value].images, earlier, later, delta))
        found.sort(key=lambda each: (each.delta is None, each.delta or 0, -each.images))
    return SliceComparisonView(
        keys,
        key,
        split,
        _metric(first),
        found[:MOST],
        max(len(found) - MOST, 0),
        first.position,
    )


def calibration_view(evaluated: EvaluatedVersion, split: str) -> CalibrationView:
    within = evaluated.predictions.images.in_split(split)
    return CalibrationView(split, reliability(evaluated.predictions, within), evaluated.position)


def _metadata(evaluated: EvaluatedVersion, key: str | None) -> tuple[list[str], dict[str, str]]:
    """All keys of the project's images, and the values of one."""
    project_id = evaluated.version.project_id
    with evaluated.backend.reading(None, DATASET) as (connection, _):
        keys = metadata_keys(connection, project_id)
        values = {} if key is None else metadata_values(connection, project_id, key)
    return keys, values


def _metric(evaluated: EvaluatedVersion) -> str:
    return "f1" if evaluated.predictions.kind == DETECTION else "accuracy"
