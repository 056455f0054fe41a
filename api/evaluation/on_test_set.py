"""Routes of a version's evaluations on the test set."""

from typing import Annotated

import msgspec
from litestar import Controller, Response, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from adapters.postgres.postgres import one_at_a_time
from api.access.rights import needs
from api.backend import Backend
from api.dataset.file_names import with_file_names
from api.evaluation.evaluated import PredictionsGone, with_test_predictions
from api.evaluation.views import ConceptResult, evaluation_view
from api.http.commands import CommandResult, Named, named
from api.http.parameters import AsOf, AtLeast, Served
from api.http.schemas import Strict
from application.training.test_evaluations import request_test_evaluation
from domain.access.roles import Right
from domain.aggregates import VERSION
from domain.dataset.image import TEST
from domain.errors import NotFound
from projections.training.evaluations import EVALUATIONS, EvaluationRow, find_evaluation
from projections.training.library_queries import VersionRow, find_version
from projections.training.models_library import MODELS_LIBRARY
from projections.training.test_evaluations import (
    TEST_EVALUATIONS,
    EvaluationOnTestSet,
    count_of_view,
    list_evaluations,
    newest_results,
)


class NewTestEvaluation(Strict, frozen=True, kw_only=True):
    """Why the test set is opened; the reason stays in the log."""

    reason: Annotated[
        str,
        Meta(description="1 to 1000 printable characters", examples=["before the release of May"]),
    ]


class ResultOnTestSet(msgspec.Struct, frozen=True):
    """The newest result at the thresholds in force.

    `accuracy` is the share of images without an error, None for detection. While not `complete`,
    COCO's metrics of the concepts are still being computed: request it again.
    """

    number: int
    images: int
    errors: int
    accuracy: float | None
    concepts: list[ConceptResult]
    complete: bool


class TestEvaluationsView(msgspec.Struct, frozen=True):
    """A version's evaluations on the test set, newest first.

    `evaluations_of_view` counts those of all versions of its view, without those that failed: with
    each, the test set becomes less meaningful. `result` is null if there is none, or if its
    predictions are no longer stored.
    """

    items: list[EvaluationOnTestSet]
    evaluations_of_view: int
    result: ResultOnTestSet | None
    position: int


class TestEvaluationController(Controller):
    """Evaluations on the test set."""

    path = "/versions/{version_id:str}/test-evaluations"
    tags = ("Evaluation",)
    dependencies = named(VERSION)

    @post(
        summary="Evaluate on the test set",
        sync_to_thread=True,
        opt=needs(Right.TEST, of="version_id"),
    )
    def evaluate_on_test_set(
        self, backend: Served, version: Named, data: JSONBody[NewTestEvaluation]
    ) -> Response[CommandResult]:
        """Predict the current test images with a ready version, on a worker.

        The event records who, why, and how often the test set was evaluated before. It cannot be
        undone: choosing a version by these metrics would overfit to the test set.
        """
        project = backend.scopes.project_of(VERSION.stream(version.id))
        with one_at_a_time(backend.committed, f"test evaluations of {project}"):
            return version.carry_out(
                lambda session: request_test_evaluation(session, version.id, data.reason),
                data,
                status_code=201,
            )

    @get(
        summary="A version's evaluations on the test set",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def list_test_evaluations(
        self,
        backend: Served,
        version_id: FromPath[str],
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> TestEvaluationsView:
        """Each with who requested it, why, and its metrics, computed like those of the validation
        set."""
        read_models = MODELS_LIBRARY, EVALUATIONS, TEST_EVALUATIONS
        with backend.reading_as_of(as_of, at_least, *read_models) as (connection, position, at):
            version = find_version(connection, version_id, as_of=at)
            if version is None:
                raise NotFound("version not found")
            evaluation = find_evaluation(connection, version_id, as_of=at)
            items = list_evaluations(connection, version_id, as_of=at)
            newest = newest_results(connection, [version_id], as_of=at).get(version_id)
            of_view = count_of_view(connection, version.view_id, as_of=at)
        result = None
        if newest is not None and evaluation is not None:
            result = _result(backend, version, evaluation, newest, position)
        return TestEvaluationsView(
            with_file_names(backend, items, "failure"), of_view, result, position
        )


def _result(
    backend: Backend,
    version: VersionRow,
    evaluation: EvaluationRow,
    newest: EvaluationOnTestSet,
    position: int,
) -> ResultOnTestSet | None:
    assert newest.predictions is not None
    try:
        tested = with_test_predictions(backend, version, evaluation, newest.predictions, position)
    except PredictionsGone:
        return None
    view = evaluation_view(tested, TEST)
    return ResultOnTestSet(
        newest.number, view.images, view.errors, view.accuracy, view.concepts, view.complete
    )
