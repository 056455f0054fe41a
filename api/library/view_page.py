"""The page of a view: its concepts and its Models Library."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from litestar import Controller, get
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Template
from sqlalchemy import Connection

from api.access.rights import needs
from api.backend import Backend
from api.dataset.file_names import named_in_library
from api.dataset.projects_page import address
from api.http.parameters import AsOf, AtLeast, Cursor, Served, position_in
from api.library.view_shown import LibraryQuery, ViewPage
from api.pages.html import render
from api.pages.past import at_position, moment_of
from domain.access.roles import Right
from domain.errors import NotFound
from domain.experiments.presets import SIZES
from domain.training.architectures import ARCHITECTURES
from domain.training.form import training_form
from domain.training.form_controls import resolve
from domain.training.version import STOPPABLE
from projections.dataset.catalog import (
    CATALOG,
    find_project,
    find_view,
    labels_of,
    list_views,
)
from projections.dataset.dataset import DATASET
from projections.dataset.queries import (
    count_images,
    count_views,
)
from projections.experiments.experiments import EXPERIMENTS
from projections.experiments.queries import ExperimentRow, list_experiments
from projections.training.library_queries import (
    LibraryRow,
    find_model,
    library,
)
from projections.training.metric_history import METRIC_HISTORY
from projections.training.models_library import MODELS_LIBRARY
from projections.training.version_progress import VERSION_PROGRESS, progress_by_version

MODELS_A_PAGE = 10
VERSIONS_EACH = 20
EXPERIMENTS_SHOWN = 20

SHOWN = (CATALOG, DATASET, MODELS_LIBRARY, VERSION_PROGRESS, EXPERIMENTS, METRIC_HISTORY)
"""The read models that the page shows."""


class ViewPages(Controller):
    """Views."""

    @get("/views/{view_id:str}", opt=needs(Right.READ, of="view_id"))
    async def view(
        self,
        backend: Served,
        view_id: FromPath[str],
        archived: FromQuery[bool] = False,
        trials: FromQuery[bool] = False,
        each: Annotated[int, QueryParameter(ge=1, le=500)] = VERSIONS_EACH,
        cursor: Cursor = None,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> Template:
        query = LibraryQuery(archived=archived, trials=trials, each=each, cursor=cursor)
        page = await asyncio.to_thread(_page, backend, view_id, query, at_least, as_of)
        workers = await backend.queue_monitor.online()
        return render("library/view.html", msgspec.structs.replace(page, workers=workers))


def _page(
    backend: Backend, view_id: str, query: LibraryQuery, at_least: int | None, as_of: str | None
) -> ViewPage:
    """The page but for the workers."""
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
            before=position_in(query.cursor),
            limit=MODELS_A_PAGE + 1,
            versions_each=query.each,
            archived=query.archived,
            trials=query.trials,
            as_of=at,
        )
        shown = rows[:MODELS_A_PAGE]
        form = training_form(view.kind, at_hand, crops=view.crops)
        parent = find_view(connection, view.parent_id, as_of=at) if view.parent_id else None
        siblings = list_views(connection, view.project_id, as_of=at)
        page = ViewPage(
            position=position,
            api=moment.of(f"/api/v1/views/{view_id}/models"),
            moment=moment,
            project=project,
            view=view,
            parent=parent,
            parent_labels=labels_of(connection, parent.view_id, as_of=at) if parent else {},
            children=[each for each in siblings if each.parent_id == view_id],
            annotations=count_views(connection, view.project_id, [view_id], as_of=at)[view_id],
            images=count_images(connection, view.project_id, as_of=at),
            library=shown,
            experiments={} if query.trials else _experiments(connection, view_id, at),
            labels=labels_of(connection, view_id, as_of=at),
            model_names=_names(connection, shown, at),
            form=form,
            chosen=resolve(form.controls(), {}),
            architectures={key: entry.label for key, entry in ARCHITECTURES.items()},
            stopping=_stopping(connection, shown, at),
            query=query,
            sizes=SIZES,
            first=query.cursor is None,
            following=moment.of(address(query.filters(), shown[-1].model.created_position))
            if len(rows) > len(shown)
            else None,
        )
    return msgspec.structs.replace(page, library=named_in_library(backend, shown))


def _experiments(
    connection: Connection, view_id: str, as_of: int | None
) -> dict[str, list[ExperimentRow]]:
    """The newest experiments of a view, by model."""
    by_model: dict[str, list[ExperimentRow]] = {}
    now = datetime.now(UTC)
    rows = list_experiments(connection, view_id, now, limit=EXPERIMENTS_SHOWN, as_of=as_of)
    for row in rows:
        by_model.setdefault(row.model_id, []).append(row)
    return by_model


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
