"""The page of a view: its concepts and its Models Library."""

import asyncio
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from litestar import Controller, get
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Template
from sqlalchemy import Connection

from api.access.rights import needs
from api.backend import Backend
from api.dataset.file_names import with_file_names
from api.dataset.projects_page import address
from api.http.parameters import AsOf, AtLeast, Served
from api.library.lineage import read_tree
from api.library.view_shown import LibraryQuery, ViewPage
from api.pages.html import render
from api.pages.past import at_position, moment_of
from domain.access.roles import Right
from domain.errors import NotFound
from domain.experiments.presets import SIZES
from domain.training.architectures import ARCHITECTURES
from domain.training.form import training_form
from domain.training.form_controls import resolve
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
    BEST,
    NEWEST,
    SORTS,
    STATUSES,
    VersionFilter,
    VersionRow,
    library,
    list_versions,
)
from projections.training.metric_history import METRIC_HISTORY
from projections.training.models_library import MODELS_LIBRARY
from projections.training.trainers import TRAINERS, list_trainers
from projections.training.version_progress import VERSION_PROGRESS, ProgressRow, progress_by_version

MODELS_AT_MOST = 200
VERSIONS_A_PAGE = 50
EXPERIMENTS_SHOWN = 20

SHOWN = (
    CATALOG,
    DATASET,
    MODELS_LIBRARY,
    VERSION_PROGRESS,
    EXPERIMENTS,
    METRIC_HISTORY,
    TRAINERS,
)
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
        sort: Annotated[str, QueryParameter(pattern=f"^({'|'.join(SORTS)})$")] = NEWEST,
        name: FromQuery[str] = "",
        status: Annotated[str, QueryParameter(pattern=f"^({'|'.join(STATUSES)}|)$")] = "",
        architecture: FromQuery[str] = "",
        model: FromQuery[str] = "",
        cursor: FromQuery[str | None] = None,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> Template:
        query = LibraryQuery(
            archived=archived,
            trials=trials,
            sort=sort,
            name=name,
            status=status,
            architecture=architecture,
            model=model,
            cursor=cursor,
        )
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
            raise NotFound(f"view not found{at_position(at)}")
        models = library(
            connection, view_id, limit=MODELS_AT_MOST, versions_each=0, archived=True, as_of=at
        )
        rows = list_versions(
            connection,
            _filter(view_id, query),
            sort=query.sort,
            after=query.cursor,
            limit=VERSIONS_A_PAGE + 1,
            as_of=at,
        )
        shown = rows[:VERSIONS_A_PAGE]
        progress = progress_by_version(connection, [row.version_id for row in shown], as_of=at)
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
            models=[row.model for row in models],
            versions=shown,
            best=_best(connection, view_id, at),
            tree=read_tree(connection, view_id, as_of=at),
            experiments=_experiments(connection, view_id, query, at),
            started=_started(progress.values()),
            labels=labels_of(connection, view_id, as_of=at),
            model_names={row.model.model_id: row.model.name for row in models},
            form=form,
            trainers=[each for each in list_trainers(connection) if view.kind in each.kinds],
            chosen=resolve(form.controls(), {}),
            architectures={key: entry.label for key, entry in ARCHITECTURES.items()},
            stopping={key for key, row in progress.items() if row.stop_requested},
            query=query,
            sizes=SIZES,
            first=query.cursor is None,
            following=moment.of(address(query.filters() | {"cursor": shown[-1].version_id}))
            if len(rows) > len(shown)
            else None,
        )
    return msgspec.structs.replace(page, versions=with_file_names(backend, shown))


def _filter(view_id: str, query: LibraryQuery) -> VersionFilter:
    return VersionFilter(
        view_id=view_id,
        model_id=query.model or None,
        status=query.status or None,
        architecture=query.architecture or None,
        name=query.name or None,
        archived=query.archived,
        trials=query.trials or query.narrowed,
    )


def _best(connection: Connection, view_id: str, as_of: int | None) -> VersionRow | None:
    """The version with the best indicator, trials included."""
    found = list_versions(
        connection, VersionFilter(view_id=view_id), sort=BEST, limit=1, as_of=as_of
    )
    return next((row for row in found if row.indicator is not None), None)


def _experiments(
    connection: Connection, view_id: str, query: LibraryQuery, as_of: int | None
) -> list[ExperimentRow]:
    """The newest experiments of a view, on the first page of all its versions."""
    if query.trials or query.narrowed or query.cursor:
        return []
    now = datetime.now(UTC)
    return list_experiments(connection, view_id, now, limit=EXPERIMENTS_SHOWN, as_of=as_of)


def _started(rows: Collection[ProgressRow]) -> dict[str, datetime]:
    """When each training began, after it was queued."""
    return {
        row.version_id: step.started_at
        for row in rows
        for step in row.steps[1:2]
        if step.started_at is not None
    }
