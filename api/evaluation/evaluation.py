"""Routes of evaluations: figures, curves, confusion, the gallery, thresholds, CSV."""

from collections.abc import Iterator
from typing import Annotated, Literal

from litestar import Controller, Response, get, put
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response import Stream

from adapters.evaluation.csv_rows import Cell, csv_pieces, prediction_rows
from api.access.rights import needs
from api.evaluation.evaluated import find_evaluated
from api.evaluation.views import (
    ConfusionView,
    CurveView,
    EvaluationView,
    GalleryView,
    JudgedView,
    Shown,
    confusion_view,
    curve_view,
    evaluation_view,
    gallery_view,
    judged,
)
from api.http.commands import Answer, CarryOut
from api.http.parameters import AsOf, AtLeast, Cursor, Limit, Served
from api.http.schemas import Split
from application.training import versions as commands
from domain.access.roles import Right
from domain.errors import NotFound
from projections.training.library_queries import find_version
from projections.training.metric_history import series_of

Show = Literal["all", "errors", "false_positives", "false_negatives", "misclassified"]
Sort = Literal["image", "highest", "lowest"]
Preview = Annotated[
    list[str] | None,
    QueryParameter(
        name="threshold",
        description="See all at other thresholds, none recorded: `0.4` for every concept,"
        " `CONCEPT:0.4` for one, as often as needed",
    ),
]


class EvaluationController(Controller):
    """What a version's saved checkpoint comes to on the images frozen with it."""

    path = "/versions/{version_id:str}"
    tags = ("Evaluation",)

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
        """Figures of both splits as the worker measured them, and of each concept on one split.

        Classification predicts the concept of the highest score if that reaches the concept's
        threshold (0 unless set), else nothing. Tagging predicts each concept whose score reaches
        its threshold, detection each such box (0.5 unless set); boxes match at IoU 0.5.
        """
        found = find_evaluated(
            backend, version_id, preview=threshold or (), at_least=at_least, as_of=as_of
        )
        return evaluation_view(found, split)

    @get(
        "/evaluation/curves",
        summary="A precision-recall curve",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def get_curve(
        self,
        backend: Served,
        version_id: FromPath[str],
        concept: FromQuery[str],
        split: FromQuery[Split] = "validation",
        threshold: Preview = None,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> CurveView:
        """Of a concept against the rest, by its score alone; of detection, of its boxes."""
        found = find_evaluated(
            backend, version_id, preview=threshold or (), at_least=at_least, as_of=as_of
        )
        return curve_view(found, concept, split)

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
        """Of a classification: how often each concept was taken for each."""
        found = find_evaluated(
            backend, version_id, preview=threshold or (), at_least=at_least, as_of=as_of
        )
        return confusion_view(found, split)

    @get(
        "/evaluation/images",
        summary="The gallery",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def list_judged(
        self,
        backend: Served,
        version_id: FromPath[str],
        split: FromQuery[Split] = "validation",
        show: FromQuery[Show] = "all",
        concept: FromQuery[str | None] = None,
        true: FromQuery[str | None] = None,
        said: FromQuery[str | None] = None,
        sort: FromQuery[Sort] = "image",
        from_score: Annotated[float | None, QueryParameter(ge=0, le=1)] = None,
        threshold: Preview = None,
        cursor: Cursor = None,
        limit: Limit = 50,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> GalleryView:
        """Images with their truth and what is predicted and discarded, each by falling score.

        `concept` narrows to images that hold it or are predicted to, and errors to those of it.
        `true` and `said` are a cell of the confusion matrix, `said=nothing` its last column.
        Sorted by score, `from_score` begins at a score, such as the threshold.
        """
        found = find_evaluated(
            backend, version_id, preview=threshold or (), at_least=at_least, as_of=as_of
        )
        shown = Shown(
            split=split,
            show=show,
            concept=concept,
            true=true,
            said=said,
            sort=sort,
            from_score=from_score,
        )
        return gallery_view(found, shown, cursor, limit)

    @get(
        "/evaluation/images/{image_id:str}",
        summary="One judged image",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def get_judged(
        self,
        backend: Served,
        version_id: FromPath[str],
        image_id: FromPath[str],
        threshold: Preview = None,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> JudgedView:
        """An image of either split, with all that was discarded."""
        found = find_evaluated(
            backend, version_id, preview=threshold or (), at_least=at_least, as_of=as_of
        )
        (image,) = judged(found, [found.place_of_image(image_id)], None, None)
        return JudgedView(image, found.position)

    @put(
        "/evaluation/thresholds",
        summary="Set thresholds",
        sync_to_thread=True,
        opt=needs(Right.TRAIN, of="version_id"),
    )
    def set_thresholds(
        self, carry_out: CarryOut, version_id: FromPath[str], data: JSONBody[dict[str, float]]
    ) -> Response[Answer]:
        """From which score on, 0 to 1, answers count, by concept id; those of others stay.

        Nothing is trained for it.
        """
        return carry_out(lambda session: commands.set_thresholds(session, version_id, data), data)

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
        """A row for each image and concept; of detection for each box. Both splits."""
        found = find_evaluated(backend, version_id, preview=threshold or (), as_of=as_of)
        columns, rows = prediction_rows(found.decided, found.labels, found.thresholds)
        return csv_file(f"version-{found.version.number}-predictions.csv", columns, rows)

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
        """A row for each value, with the number of iterations done when it was measured."""
        with backend.reading_as_of(as_of) as (connection, _, at):
            version = find_version(connection, version_id, as_of=at)
            if version is None:
                raise NotFound("there is no such version")
            series = series_of(connection, version_id, upto=at)
        rows: Iterator[list[Cell]] = (
            [one.metric, iteration, value]
            for one in series
            for iteration, value in zip(one.iterations, one.values, strict=True)
        )
        columns = ["metric", "iteration", "value"]
        return csv_file(f"version-{version.number}-metrics.csv", columns, rows)


def csv_file(name: str, columns: list[str], rows: Iterator[list[Cell]]) -> Stream:
    return Stream(
        csv_pieces(columns, rows),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
