"""The page of a view: its concepts and its Models Library."""

from typing import Annotated

import msgspec
from litestar import Controller, get
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Template
from sqlalchemy import Connection

from api.pages_html import Page, render
from api.pages_projects import address
from api.parameters import AtLeast, Cursor, HttpRequest, Served, position_in
from domain.errors import NotFound
from domain.options import (
    ARCHITECTURES,
    DEFAULT_ARCHITECTURE,
    OPTIMIZERS,
    Architecture,
    OptionsRequest,
    TrainingOptions,
    resolve_options,
)
from domain.version import ENDED
from projections.catalog import ProjectRow, ViewRow, find_project, find_view, labels_of
from projections.dataset_queries import (
    ConceptCount,
    DatasetCounts,
    ViewCounts,
    count_images,
    count_views,
)
from projections.library_queries import LibraryRow, ModelRow, find_model, library

MODELS_A_PAGE = 10
VERSIONS_EACH = 20

OPTIMIZER_LABELS = {
    "momentum": "Momentum",
    "rmsprop": "RMSProp",
    "adam": "Adam",
    "nadam": "Nadam",
    "radam": "RAdam",
}
NO_COUNT = ConceptCount("", 0, 0)


class TrainingForm(msgspec.Struct, frozen=True):
    """What the training form offers.

    `defaults` holds, by architecture and then optimizer, the options of a request that says no
    more than these; an empty optimizer is the architecture's own.
    """

    architectures: list[Architecture]
    optimizers: dict[str, str]
    chosen: str
    defaults: dict[str, dict[str, TrainingOptions]]

    @property
    def defaults_json(self) -> str:
        return msgspec.json.encode(self.defaults).decode()

    @property
    def architecture_choices(self) -> list[tuple[str, str]]:
        return [(one.key, one.label) for one in self.architectures]

    @property
    def optimizer_choices(self) -> list[tuple[str, str]]:
        return [
            ("", f"default ({self.optimizers[self.shown.optimizer]})"),
            *self.optimizers.items(),
        ]

    def label_of(self, architecture: str) -> str:
        known = ARCHITECTURES.get(architecture)
        return known.label if known else architecture

    @property
    def shown(self) -> TrainingOptions:
        return self.defaults[self.chosen][""]


def _defaults(architecture: str) -> dict[str, TrainingOptions]:
    own = resolve_options(OptionsRequest(architecture=architecture))
    return {"": own} | {
        optimizer: resolve_options(OptionsRequest(architecture=architecture, optimizer=optimizer))
        for optimizer in OPTIMIZERS
    }


FORM = TrainingForm(
    list(ARCHITECTURES.values()),
    {key: OPTIMIZER_LABELS.get(key, key) for key in OPTIMIZERS},
    DEFAULT_ARCHITECTURE,
    {key: _defaults(key) for key in ARCHITECTURES},
)


class ViewPage(Page, frozen=True, kw_only=True):
    """A view and its library; `labels` and `model_names` are by id, removed ones included."""

    project: ProjectRow
    view: ViewRow
    said: ViewCounts
    images: DatasetCounts
    library: list[LibraryRow]
    labels: dict[str, str]
    model_names: dict[str, str]
    form: TrainingForm
    archived: bool
    each: int
    first: bool
    following: str | None
    base_url: str

    @property
    def unfinished(self) -> bool:
        return any(one.status not in ENDED for row in self.library for one in row.versions)

    def current(self, model: ModelRow) -> bool:
        """Whether the model answers the view's whole set of concepts."""
        return set(model.concepts) == {one.concept_id for one in self.view.concepts}

    def count(self, concept_id: str) -> ConceptCount:
        known = (one for one in self.said.concepts if one.concept_id == concept_id)
        return next(known, NO_COUNT)

    @property
    def next_number(self) -> int:
        """The number of the next version of the current model, if it is on this page."""
        return next((row.model.versions + 1 for row in self.library if self.current(row.model)), 1)

    def labels_in(self, concept_ids: list[str]) -> list[str]:
        """Labels in the view's order, those of removed concepts last."""
        order = [one.concept_id for one in self.view.concepts]
        place = {concept_id: index for index, concept_id in enumerate(order)}
        known = sorted(concept_ids, key=lambda one: (place.get(one, len(order)), one))
        return [self.labels.get(concept_id, concept_id) for concept_id in known]


class ViewPages(Controller):
    """Views."""

    @get("/views/{view_id:str}", sync_to_thread=True)
    def view(
        self,
        backend: Served,
        request: HttpRequest,
        view_id: FromPath[str],
        archived: FromQuery[bool] = False,
        each: Annotated[int, QueryParameter(ge=1, le=500)] = VERSIONS_EACH,
        cursor: Cursor = None,
        at_least: AtLeast = None,
    ) -> Template:
        with backend.reading(at_least) as (connection, position):
            view = find_view(connection, view_id)
            project = find_project(connection, view.project_id) if view else None
            if view is None or project is None:
                raise NotFound("there is no such view")
            found = library(
                connection,
                view_id,
                before=position_in(cursor),
                limit=MODELS_A_PAGE + 1,
                versions_each=each,
                archived=archived,
            )
            shown = found[:MODELS_A_PAGE]
            page = ViewPage(
                position=position,
                api=f"/api/v1/views/{view_id}/models",
                project=project,
                view=view,
                said=count_views(connection, view.project_id, [view_id])[view_id],
                images=count_images(connection, view.project_id),
                library=shown,
                labels=labels_of(connection, view_id),
                model_names=_names(connection, shown),
                form=FORM,
                archived=archived,
                each=each,
                first=cursor is None,
                following=address(
                    {"archived": "true" if archived else ""}, shown[-1].model.created_position
                )
                if len(found) > len(shown)
                else None,
                base_url=str(request.base_url).rstrip("/"),
            )
        return render("view.html", page)


def _names(connection: Connection, rows: list[LibraryRow]) -> dict[str, str]:
    """The names of the models shown and of their parents, by id."""
    names = {row.model.model_id: row.model.name for row in rows}
    for row in rows:
        parent = row.model.parent
        if parent is not None and parent not in names:
            model = find_model(connection, parent)
            names[parent] = model.name if model else "a model that is gone"
    return names
