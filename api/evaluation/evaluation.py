"""Routes of evaluations: metrics, curves, confusion, gallery, thresholds, CSV."""

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated

from litestar import Controller, Response, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response import Stream

from adapters.evaluation.csv_rows import (
    Cell,
    csv_pieces,
    prediction_rows,
    with_file_names,
)
from api.access.rights import needs
from api.evaluation.evaluated import find_evaluated
from api.evaluation.gallery_request import GALLERY_REQUEST, GalleryOperation, GalleryRequest
from api.evaluation.views import (
    ConfusionView,
    CurveView,
    EvaluationView,
    GalleryView,
    ImageResultView,
    confusion_view,
    curve_view,
    evaluation_view,
    gallery_view,
    judged,
)
from api.http.commands import CommandResult, Named, named
from api.http.parameters import AsOf, AtLeast, Cursor, Limit, Served
from api.http.schemas import Split
from domain.access.roles import Right
from domain.aggregates import VERSION
from domain.dataset.items import by_key, image_id_of
from domain.errors import NotFound
from domain.training.version import SetThresholds
from projections.dataset.dataset import DATASET
from projections.dataset.queries import file_names
from projections.training.library_queries import find_version
from projections.training.metric_history import METRIC_HISTORY, series_of
from projections.training.models_library import MODELS_LIBRARY

Preview = Annotated[
    list[str] | None,
    QueryParameter(
        name="threshold",
        description="Preview other thresholds without recording them: `0.4` for every concept,"
        " `CONCEPT:0.4` for one; may be repeated",
    ),
]


class EvaluationController(Controller):
    """Evaluations of a version's saved checkpoint on the images frozen with it."""

    path = "/versions/{version_id:str}"
    tags = ("Evaluation",)
    dependencies = named(VERSION)

    @get(
        "/evaluation",
        summary="A version's evaluation",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def get_evaluation(
        self,
        backend: Served,
        version_id: FromPath[str],
        split: FromQuery[Split] = "validation",
        threshold: Preview = None,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> EvaluationView:
        """Metrics of both splits as the worker measured them, and of each concept on one split.

        Classification predicts the concept of the highest score if that reaches the concept's
        threshold (default 0), else nothing. Tagging predicts each concept whose score reaches its
        threshold, detection each such box (default 0.5); boxes match at IoU 0.5.
        """
        evaluated = find_evaluated(
            backend, version_id, preview=threshold or (), at_least=at_least, as_of=as_of
        )
        return evaluation_view(evaluated, split)

    @get(
        "/evaluation/curves",
        summary="A precision-recall curve",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def get_evaluation_curve(
        self,
        backend: Served,
        version_id: FromPath[str],
        concept: FromQuery[str],
        split: FromQuery[Split] = "validation",
        threshold: Preview = None,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> CurveView:
        """The curve of a concept against the rest by its score; for detection, of its boxes."""
        evaluated = find_evaluated(
            backend, version_id, preview=threshold or (), at_least=at_least, as_of=as_of
        )
        return curve_view(evaluated, concept, split)

    @get(
        "/evaluation/confusion",
        summary="The confusion matrix",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def get_confusion(
        self,
        backend: Served,
        version_id: FromPath[str],
        split: FromQuery[Split] = "validation",
        threshold: Preview = None,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> ConfusionView:
        """The confusion matrix of a classification."""
        evaluated = find_evaluated(
            backend, version_id, preview=threshold or (), at_least=at_least, as_of=as_of
        )
        return confusion_view(evaluated, split)

    @get(
        "/evaluation/images",
        summary="List evaluated images",
        dependencies=GALLERY_REQUEST,
        operation_class=GalleryOperation,
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def list_evaluated_images(
        self,
        backend: Served,
        version_id: FromPath[str],
        shown: NamedDependency[GalleryRequest],
        threshold: Preview = None,
        cursor: Cursor = None,
        limit: Limit = 50,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> GalleryView:
        """Images with their annotations, predictions and discarded predictions, by descending
        score.

        `concept` selects images whose truth or predictions have it, and restricts errors to it.
        `actual` and `predicted` are a cell of the confusion matrix; `predicted=nothing` is its last
        column.
        When sorted by score, the list begins at `from_score`, such as the threshold.
        """
        evaluated = find_evaluated(
            backend, version_id, preview=threshold or (), at_least=at_least, as_of=as_of
        )
        return gallery_view(evaluated, shown, cursor, limit)

    @get(
        "/evaluation/images/{image_id:str}",
        summary="An evaluated image",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def get_evaluated_image(
        self,
        backend: Served,
        version_id: FromPath[str],
        image_id: FromPath[str],
        threshold: Preview = None,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> ImageResultView:
        """An image of the training or validation set, with all discarded predictions."""
        evaluated = find_evaluated(
            backend, version_id, preview=threshold or (), at_least=at_least, as_of=as_of
        )
        (image,) = judged(evaluated, [evaluated.place_of_image(image_id)], None, None)
        return ImageResultView(image, evaluated.position)

    @put(
        "/evaluation/thresholds",
        summary="Set thresholds",
        sync_to_thread=True,
        opt=needs(Right.TRAIN, of="version_id"),
    )
    def set_thresholds(
        self, version: Named, data: JSONBody[dict[str, float]]
    ) -> Response[CommandResult]:
        """Set the minimum scores of predictions, from 0 to 1, by concept id; other concepts keep
        theirs.

        Nothing is trained.
        """
        return version.change(SetThresholds(data), data)

    @get(
        "/evaluation/predictions.csv",
        summary="All predictions as CSV",
        media_type="text/csv",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def get_predictions_csv(
        self,
        backend: Served,
        version_id: FromPath[str],
        threshold: Preview = None,
        as_of: AsOf = None,
    ) -> Stream:
        """A row for each image and concept of both splits; in detection, for each box.

        `file_name` is the current name; for an erased image it is `[erased]`.
        """
        evaluated = find_evaluated(backend, version_id, preview=threshold or (), as_of=as_of)
        columns, rows = prediction_rows(evaluated.decided, evaluated.labels, evaluated.thresholds)

        def names(keys: Collection[str]) -> Mapping[str, str]:
            with backend.reading(None, DATASET) as (connection, _):
                return by_key(keys, file_names(connection, {image_id_of(key) for key in keys}))

        columns, rows = with_file_names(columns, rows, names)
        return csv_file(f"version-{evaluated.version.number}-predictions.csv", columns, rows)

    @get(
        "/metrics.csv",
        summary="A version's metrics as CSV",
        media_type="text/csv",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def get_metrics_csv(
        self, backend: Served, version_id: FromPath[str], as_of: AsOf = None
    ) -> Stream:
        """A row for each value, with the number of iterations at its measurement."""
        with backend.reading_as_of(as_of, None, MODELS_LIBRARY, METRIC_HISTORY) as (
            connection,
            _,
            at,
        ):
            version = find_version(connection, version_id, as_of=at)
            if version is None:
                raise NotFound("version not found")
            series = series_of(connection, version_id, upto=at)
        rows: Iterator[list[Cell]] = (
            [metric.metric, iteration, value]
            for metric in series
            for iteration, value in zip(metric.iterations, metric.values, strict=True)
        )
        columns = ["metric", "iteration", "value"]
        return csv_file(f"version-{version.number}-metrics.csv", columns, rows)


def csv_file(name: str, columns: list[str], rows: Iterator[list[Cell]]) -> Stream:
    return Stream(
        csv_pieces(columns, rows),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
