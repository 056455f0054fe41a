"""Routes of the metrics of trainings."""

from typing import Annotated

from litestar import Controller, Response, get
from litestar.params import FromPath, QueryParameter

from api.access.guard import demand
from api.access.rights import needs
from api.http.arrow import arrow_answer, wants_arrow
from api.http.parameters import AsOf, AtLeast, HttpRequest, Served
from api.training.metrics_table import metrics_table
from api.training.schemas import ManyMetricsView, MetricsView, Points, SeriesOfVersion
from domain.access.roles import Right
from domain.aggregates import VERSION
from domain.errors import NotFound
from projections.training.metric_history import METRIC_HISTORY, series_of, series_of_many
from projections.training.sampled_metrics import sampled_series_of
from projections.training.version_progress import VERSION_PROGRESS, find_progress

MOST_VERSIONS = 1000


class TrainingMetricsController(Controller):
    """Metrics of trainings."""

    tags = ("Versions",)

    @get(
        "/versions/{version_id:str}/metrics",
        summary="A version's metrics",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def get_version_metrics(
        self,
        backend: Served,
        version_id: FromPath[str],
        after: Annotated[int, QueryParameter(ge=0, description="Only newer values")] = 0,
        points: Points = None,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> MetricsView:
        """Learning rate and batch loss per iteration, validation loss and accuracy per epoch. A
        trainer's own metrics begin with `reported.`.

        With `points`, the smallest and the largest value of each range of iterations are kept, and
        the first that is not a number.
        """
        with backend.reading_as_of(as_of, at_least, VERSION_PROGRESS, METRIC_HISTORY) as (
            connection,
            position,
            at,
        ):
            progress = find_progress(connection, version_id, as_of=at)
            if progress is None:
                raise NotFound("version not found")
            upto = position if at is None else at
            if points is None:
                series = series_of(connection, version_id, after=after, upto=at)
            elif after:
                series = sampled_series_of(connection, version_id, points, after=after, upto=upto)
            else:
                series = backend.charts.series_of(connection, progress, points, upto=upto)
            return MetricsView(series, position)

    @get(
        "/metrics",
        summary="The metrics of many versions",
        sync_to_thread=True,
        opt=needs(Right.READ, anywhere=True),
    )
    def list_metrics(
        self,
        backend: Served,
        request: HttpRequest,
        version_id: Annotated[
            list[str],
            QueryParameter(
                name="version_id", min_items=1, max_items=MOST_VERSIONS, description="The versions"
            ),
        ],
        metric: Annotated[
            list[str] | None,
            QueryParameter(name="metric", description="Only these metrics; by default all"),
        ] = None,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> Response[ManyMetricsView]:
        """All values, in the order of the versions in the request.

        With `Accept: application/vnd.apache.arrow.stream` they are a table with the columns
        `version_id`, `metric`, `iteration` and `value`.
        """
        streams = [VERSION.stream(one) for one in version_id]
        demand(backend, request.user, Right.READ, *streams, field="version_id")
        with backend.reading_as_of(as_of, at_least, METRIC_HISTORY) as (connection, position, at):
            series = series_of_many(connection, version_id, metrics=metric, upto=at)
        found = [(one, each) for one in dict.fromkeys(version_id) for each in series[one]]
        if wants_arrow(request):
            return arrow_answer(metrics_table(found), position)
        items = [
            SeriesOfVersion(one, each.metric, each.iterations, each.values) for one, each in found
        ]
        return Response(ManyMetricsView(items, position))
