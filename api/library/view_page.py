"""The page of a view: its concepts and its Models Library."""

from typing import Annotated, Any

import msgspec
from litestar import Controller, get
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Template
from sqlalchemy import Connection

from api.access.rights import needs
from api.dataset.file_names import named_in_library
from api.dataset.projects_page import address
from api.http.parameters import AsOf, AtLeast, Cursor, HttpRequest, Served, position_in
from api.pages.html import Page, indicator_of, render
from api.pages.past import Moment, at_position, moment_of
from domain.access.roles import Right
from domain.errors import NotFound
from domain.library.view import CLASSIFICATION
from domain.training.architectures import ARCHITECTURES
from domain.training.form import training_form
from domain.training.form_controls import Form, resolve
from domain.training.version import ENDED, STOPPABLE
from projections.dataset.catalog import (
    CATALOG,
    ProjectRow,
    ViewRow,
    find_project,
    find_view,
    labels_of,
)
from projections.dataset.dataset import DATASET
from projections.dataset.queries import (
    ConceptCount,
    DatasetCounts,
    ViewCounts,
    count_images,
    count_views,
)
from projections.training.library_queries import LibraryRow, ModelRow, find_model, library
from projections.training.models_library import MODELS_LIBRARY
from projections.training.version_progress import VERSION_PROGRESS, progress_by_version

MODELS_A_PAGE = 10
VERSIONS_EACH = 20

SHOWN = (CATALOG, DATASET, MODELS_LIBRARY, VERSION_PROGRESS)
"""The read models that the page shows."""

NO_COUNT = ConceptCount("", 0, 0)


class ViewPage(Page, frozen=True, kw_only=True):
    """A view and its library at a moment; `labels` and `model_names` are by id, removed ones too.

    `stopping` are the ids of the versions that end with their running epoch; `chosen` are the
    form's default values.
    """

    project: ProjectRow
    view: ViewRow
    annotations: ViewCounts
    images: DatasetCounts
    library: list[LibraryRow]
    labels: dict[str, str]
    model_names: dict[str, str]
    form: Form
    chosen: dict[str, Any]
    architectures: dict[str, str]
    stopping: set[str]
    archived: bool
    each: int
    first: bool
    following: str | None
    base_url: str
    moment: Moment

    @property
    def unfinished(self) -> bool:
        return any(version.status not in ENDED for row in self.library for version in row.versions)

    @property
    def indicator(self) -> str:
        return indicator_of(self.view.kind)

    @property
    def indicator_short(self) -> str:
        return "Accuracy" if self.view.kind == CLASSIFICATION else "mAP"

    def current(self, model: ModelRow) -> bool:
        """Whether the model predicts all concepts of the view."""
        return set(model.concepts) == {concept.concept_id for concept in self.view.concepts}

    def count(self, concept_id: str) -> ConceptCount:
        counts = (row for row in self.annotations.concepts if row.concept_id == concept_id)
        return next(counts, NO_COUNT)

    @property
    def without_training(self) -> list[str]:
        """The labels of the concepts that no training image holds."""
        return [
            concept.label
            for concept in self.view.concepts
            if not self.count(concept.concept_id).train
        ]

    @property
    def next_number(self) -> int:
        """The number of the next version of the current model, if it is on this page."""
        return next((row.model.versions + 1 for row in self.library if self.current(row.model)), 1)

    def labels_in(self, concept_ids: list[str]) -> list[str]:
        """Labels in the view's order, those of removed concepts last."""
        order = [concept.concept_id for concept in self.view.concepts]
        index = {concept_id: number for number, concept_id in enumerate(order)}
        ordered = sorted(concept_ids, key=lambda key: (index.get(key, len(order)), key))
        return [self.labels.get(concept_id, concept_id) for concept_id in ordered]


class ViewPages(Controller):
    """Views."""

    @get("/views/{view_id:str}", sync_to_thread=True, opt=needs(Right.READ, of="view_id"))
    def view(
        self,
        backend: Served,
        request: HttpRequest,
        view_id: FromPath[str],
        archived: FromQuery[bool] = False,
        each: Annotated[int, QueryParameter(ge=1, le=500)] = VERSIONS_EACH,
        cursor: Cursor = None,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> Template:
        at_hand = backend.weights.at_hand()
        with backend.reading_as_of(as_of, at_least, *SHOWN) as (connection, position, at):
            moment = moment_of(backend, connection, at, SHOWN)
            view = find_view(connection, view_id, as_of=at)
            project = find_project(connection, view.project_id, as_of=at) if view else None
            if view is None or project is None:
                raise NotFound(f"there is no such view{at_position(at)}")
            rows = library(
                connection,
                view_id,
                before=position_in(cursor),
                limit=MODELS_A_PAGE + 1,
                versions_each=each,
                archived=archived,
                as_of=at,
            )
            shown = rows[:MODELS_A_PAGE]
            form = training_form(view.kind, at_hand)
            page = ViewPage(
                position=position,
                api=moment.of(f"/api/v1/views/{view_id}/models"),
                moment=moment,
                project=project,
                view=view,
                annotations=count_views(connection, view.project_id, [view_id], as_of=at)[view_id],
                images=count_images(connection, view.project_id, as_of=at),
                library=shown,
                labels=labels_of(connection, view_id, as_of=at),
                model_names=_names(connection, shown, at),
                form=form,
                chosen=resolve(form.controls(), {}),
                architectures={key: entry.label for key, entry in ARCHITECTURES.items()},
                stopping=_stopping(connection, shown, at),
                archived=archived,
                each=each,
                first=cursor is None,
                following=moment.of(
                    address(
                        {"archived": "true" if archived else ""}, shown[-1].model.created_position
                    )
                )
                if len(rows) > len(shown)
                else None,
                base_url=str(request.base_url).rstrip("/"),
            )
        named = named_in_library(backend, shown)
        return render("library/view.html", msgspec.structs.replace(page, library=named))


def _stopping(connection: Connection, rows: list[LibraryRow], as_of: int | None) -> set[str]:
    running = [
        version.version_id
        for row in rows
        for version in row.versions
        if version.status in STOPPABLE
    ]
    progress = progress_by_version(connection, running, as_of=as_of)
    return {version_id for version_id, row in progress.items() if row.stop_requested}


def _names(connection: Connection, rows: list[LibraryRow], as_of: int | None) -> dict[str, str]:
    """The names of the models shown and of their parents, by id."""
    names = {row.model.model_id: row.model.name for row in rows}
    for row in rows:
        parent = row.model.parent
        if parent is not None and parent not in names:
            model = find_model(connection, parent, as_of=as_of)
            names[parent] = model.name if model else "a model that is gone"
    return names
