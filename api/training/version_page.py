"""The page of a version: its steps, live metrics, and configuration."""

import asyncio
from collections.abc import Sequence

import msgspec
from litestar import Controller, get
from litestar.params import FromPath, FromQuery
from litestar.response import Template
from sqlalchemy import Connection

from adapters.training.declared_code import DeclaredCode, declared_code
from api.access.rights import needs
from api.backend import Backend, NotYet
from api.dataset.file_names import with_file_names
from api.http.parameters import AsOf, AtLeast, Served
from api.pages.html import Page, indicator_of, render
from api.pages.past import Moment, at_position, moment_of
from api.training.changes import Change, change_from, find_parent
from api.training.corrected import corrected_since
from api.training.messages import DECLARED, LOWER_RATE, STEP_LABELS
from api.training.schemas import CorrectedSince
from api.training.waiting import evaluation_waits_for, waiting_for
from api.training.warnings import warnings_about
from domain.access.roles import Right
from domain.errors import Conflict, NotFound
from domain.trainers.form import Setting
from domain.trainers.predicting import is_predicted_by_trainer, reads_onnx_of
from domain.training.option_facts import Fact, facts_of, facts_of_trainer
from domain.training.version import (
    ENDED,
    FAILED,
    FINISHED,
)
from domain.training.waiting import Waiting
from projections.dataset.catalog import CATALOG, ProjectRow, ViewRow, find_project, find_view
from projections.flip_book.suspects import SUSPECTS
from projections.training.evaluations import EVALUATIONS
from projections.training.library_queries import (
    ModelRow,
    VersionFilter,
    VersionRow,
    find_model,
    find_version,
    list_versions,
)
from projections.training.models_library import MODELS_LIBRARY
from projections.training.test_evaluations import (
    QUEUED,
    RUNNING,
    TEST_EVALUATIONS,
    EvaluationOnTestSet,
    count_of_view,
    list_evaluations,
)
from projections.training.trainers import TRAINERS, find_trainer
from projections.training.version_progress import (
    VERSION_PROGRESS,
    ProgressRow,
    find_progress,
    trainings_before,
)

SHOWN = (
    CATALOG,
    MODELS_LIBRARY,
    VERSION_PROGRESS,
    SUSPECTS,
    TEST_EVALUATIONS,
    EVALUATIONS,
    TRAINERS,
)
"""The read models that the page shows."""

OVERLAID_AT_MOST = 50
"""The most versions offered to draw over this one."""
LONGEST = 200
"""Characters shown of what a trainer declares."""


class VersionPage(Page, frozen=True, kw_only=True):
    """A version with its model, view and project at a moment; `change` is from its parent, and
    `options` are those of its training.

    `others` are versions to draw over it, of which the ids in `overlay` are drawn. `on_test_set`
    are its evaluations on the test set, newest first, of `evaluations_of_view` in the view.
    `not_predicting` is why nobody can predict other images with it, empty if somebody can.
    `test_waits` is what its queued evaluation waits for.
    """

    moment: Moment
    project: ProjectRow
    view: ViewRow
    model: ModelRow
    version: VersionRow
    progress: ProgressRow
    options: list[Fact]
    change: Change | None
    others: list[VersionRow]
    overlay: str
    step_labels: dict[str, str]
    waiting: Waiting | None
    corrected: CorrectedSince | None
    on_test_set: list[EvaluationOnTestSet]
    evaluations_of_view: int
    warnings: list[str]
    declared: DeclaredCode | None
    not_predicting: str
    test_waits: str = ""

    @property
    def reads_onnx(self) -> bool:
        """Whether Stemma predicts by its trainer's ONNX file."""
        use = self.version.trainer
        return use is not None and reads_onnx_of(use, self.view.kind)

    @property
    def finished(self) -> bool:
        return self.version.status in FINISHED

    @property
    def being_tested(self) -> bool:
        return any(one.status in (QUEUED, RUNNING) for one in self.on_test_set)

    @property
    def ended(self) -> bool:
        return self.version.status in ENDED

    @property
    def diverged(self) -> bool:
        """Whether the training failed for numbers that were not finite."""
        return self.version.status == FAILED and LOWER_RATE in (self.version.reason or "")

    @property
    def indicator(self) -> str:
        return indicator_of(self.view.kind)


class VersionPages(Controller):
    """Versions."""

    @get("/versions/{version_id:str}", opt=needs(Right.READ, of="version_id"))
    async def version(
        self,
        backend: Served,
        version_id: FromPath[str],
        overlay: FromQuery[str] = "",
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> Template:
        page, before = await asyncio.to_thread(_page, backend, version_id, overlay, at_least, as_of)
        waiting = await waiting_for(backend, version_id, before)
        test_waits = await evaluation_waits_for(backend, page.version, page.on_test_set)
        page = msgspec.structs.replace(page, waiting=waiting, test_waits=test_waits)
        return render("training/version.html", page)


def _not_predicting(connection: Connection, version: VersionRow, kind: str) -> str:
    use = version.trainer
    trainer = find_trainer(connection, use.trainer_id) if use else None
    if use is None or trainer is None:
        return ""
    try:
        size = version.checkpoint_bytes or 0
        is_predicted_by_trainer(use, kind, size, predicts=trainer.predicts, retired=trainer.retired)
    except Conflict as refused:
        return refused.detail
    return ""


def _declared(backend: Backend, version: VersionRow, at: int | None) -> DeclaredCode | None:
    return declared_code(backend.store, version.version_id, at) if version.trainer else None


def _facts(
    backend: Backend,
    connection: Connection,
    kind: str,
    version: VersionRow,
    declared: DeclaredCode | None,
) -> list[Fact]:
    """The options of a version, or the settings of its trainer and what that declared."""
    use = version.trainer
    if use is None:
        return facts_of(kind, version.options, backend.weights.at_hand())
    trainer = find_trainer(connection, use.trainer_id)
    # Of another form, defaults are not known any more.
    known: Sequence[Setting] = trainer.settings if trainer and trainer.form == use.form else ()
    return [
        *facts_of_trainer(use, known, adopted=version.adopted),
        *(
            Fact(f"declared-{key}", DECLARED.format(key), value[:LONGEST])
            for key, value in (declared.environment if declared else {}).items()
        ),
    ]


def _page(
    backend: Backend, version_id: str, overlay: str, at_least: int | None, as_of: str | None
) -> tuple[VersionPage, int | None]:
    """The page but for what the version waits for, and how many trainings are before it."""
    with backend.reading_as_of(as_of, at_least, *SHOWN) as (connection, position, at):
        version = find_version(connection, version_id, as_of=at)
        progress = find_progress(connection, version_id, as_of=at)
        if version is None or progress is None:
            raise NotFound(f"version not found{at_position(at)}")
        project = find_project(connection, version.project_id, as_of=at)
        view = find_view(connection, version.view_id, as_of=at)
        model = find_model(connection, version.model_id, as_of=at)
        if project is None or view is None or model is None:
            raise NotYet("the read models are still catching up; reload in a moment")
        parent = find_parent(connection, version, as_of=at)
        of_view = VersionFilter(
            view_id=version.view_id, trials=version.experiment_id is not None, archived=True
        )
        others = list_versions(connection, of_view, limit=OVERLAID_AT_MOST, as_of=at)
        moment = moment_of(backend, connection, at, SHOWN)
        corrected = corrected_since(connection, version, as_of=at)
        before = None if moment.past else trainings_before(connection, version_id)
        on_test_set = list_evaluations(connection, version_id, as_of=at)
        warnings = warnings_about(connection, version, progress, as_of=at)
        evaluations_of_view = count_of_view(connection, version.view_id, as_of=at)
        declared = _declared(backend, version, at)
        options = _facts(backend, connection, view.kind, version, declared)
        not_predicting = _not_predicting(connection, version, view.kind)
        change = None
        if parent is not None:
            before_it = _declared(backend, parent, at)
            earlier = _facts(backend, connection, view.kind, parent, before_it)
            change = change_from(parent, version, earlier, options)
    (version,), (progress,) = (
        with_file_names(backend, [version]),
        with_file_names(backend, [progress]),
    )
    page = VersionPage(
        position=position,
        api=moment.of(f"/api/v1/versions/{version_id}"),
        moment=moment,
        project=project,
        view=view,
        model=model,
        version=version,
        progress=progress,
        options=options,
        change=change,
        others=[each for each in others if each.version_id != version_id],
        overlay=overlay,
        step_labels=STEP_LABELS,
        waiting=None,
        corrected=corrected,
        on_test_set=with_file_names(backend, on_test_set, "failure"),
        evaluations_of_view=evaluations_of_view,
        warnings=warnings,
        declared=declared,
        not_predicting=not_predicting,
    )
    return page, before
