"""The page of a view's experiments."""

import msgspec
from litestar import Controller, get
from litestar.params import FromPath
from litestar.response import Template

from api.access.rights import needs
from api.dataset.projects_page import address
from api.experiments.experiments import READ, now
from api.http.parameters import AsOf, AtLeast, Cursor, Served, position_in
from api.pages.html import Page, indicator_of, render
from api.pages.past import Moment, at_position, moment_of
from domain.access.roles import Right
from domain.errors import NotFound
from projections.dataset.catalog import CATALOG, ProjectRow, ViewRow, find_project, find_view
from projections.dataset.dataset import DATASET
from projections.dataset.queries import ViewCounts, count_views
from projections.experiments.experiments import CONCLUDED
from projections.experiments.queries import ExperimentRow, list_experiments

EXPERIMENTS_A_PAGE = 20
SHOWN = (CATALOG, DATASET, *READ)
"""The read models that the page shows."""


class ExperimentsPage(Page, frozen=True, kw_only=True):
    """The experiments of a view at a moment, newest first."""

    moment: Moment
    project: ProjectRow
    view: ViewRow
    annotations: ViewCounts
    experiments: list[ExperimentRow]
    first: bool
    following: str | None

    @property
    def unfinished(self) -> bool:
        return any(row.state != CONCLUDED for row in self.experiments)

    @property
    def indicator(self) -> str:
        return indicator_of(self.view.kind)


class ExperimentListPages(Controller):
    """Lists of experiments."""

    @get(
        "/views/{view_id:str}/experiments",
        sync_to_thread=True,
        opt=needs(Right.READ, of="view_id"),
    )
    def experiments(
        self,
        backend: Served,
        view_id: FromPath[str],
        cursor: Cursor = None,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> Template:
        with backend.reading_as_of(as_of, at_least, *SHOWN) as (connection, position, at):
            view = find_view(connection, view_id, as_of=at)
            project = find_project(connection, view.project_id, as_of=at) if view else None
            if view is None or project is None:
                raise NotFound(f"view not found{at_position(at)}")
            annotations = count_views(connection, view.project_id, [view_id], as_of=at)[view_id]
            moment = moment_of(backend, connection, at, SHOWN)
            rows = list_experiments(
                connection,
                view_id,
                now(),
                before=position_in(cursor),
                limit=EXPERIMENTS_A_PAGE + 1,
                as_of=at,
            )
        if moment.past:
            rows = [msgspec.structs.replace(row, seconds_left=None) for row in rows]
        shown = rows[:EXPERIMENTS_A_PAGE]
        page = ExperimentsPage(
            position=position,
            api=moment.of(f"/api/v1/views/{view_id}/experiments"),
            moment=moment,
            project=project,
            view=view,
            annotations=annotations,
            experiments=shown,
            first=cursor is None,
            following=moment.of(address({}, shown[-1].created_position))
            if len(rows) > len(shown)
            else None,
        )
        return render("experiments/experiments.html", page)
