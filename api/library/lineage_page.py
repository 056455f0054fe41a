"""The page of a view's family tree, and the tree as a file."""

from litestar import Controller, get
from litestar.params import FromPath
from litestar.response import Template

from api.access.rights import needs
from api.backend import Backend
from api.http.parameters import AsOf, AtLeast, Served
from api.library.lineage import Tree, read_tree
from api.pages.html import HEADERS, Page, render
from api.pages.past import Moment, at_position, moment_of
from domain.access.roles import Right
from domain.errors import NotFound
from projections.dataset.catalog import CATALOG, ProjectRow, ViewRow, find_project, find_view
from projections.dataset.dataset import DATASET
from projections.dataset.queries import ViewCounts, count_views
from projections.experiments.experiments import EXPERIMENTS
from projections.training.metric_history import METRIC_HISTORY
from projections.training.models_library import MODELS_LIBRARY

SHOWN = (CATALOG, DATASET, MODELS_LIBRARY, EXPERIMENTS, METRIC_HISTORY)
"""The read models that the page shows."""


class LineagePage(Page, frozen=True, kw_only=True):
    moment: Moment
    project: ProjectRow
    view: ViewRow
    annotations: ViewCounts
    tree: Tree


class LineagePages(Controller):
    """Lineages."""

    @get("/views/{view_id:str}/lineage", sync_to_thread=True, opt=needs(Right.READ, of="view_id"))
    def lineage(
        self,
        backend: Served,
        view_id: FromPath[str],
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> Template:
        return render("library/lineage.html", _page(backend, view_id, at_least, as_of))

    @get(
        "/views/{view_id:str}/lineage.svg", sync_to_thread=True, opt=needs(Right.READ, of="view_id")
    )
    def picture(
        self,
        backend: Served,
        view_id: FromPath[str],
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> Template:
        page = _page(backend, view_id, at_least, as_of)
        return Template(
            "library/lineage.svg",
            context={"page": page},
            headers=HEADERS,
            media_type="image/svg+xml",
        )


def _page(backend: Backend, view_id: str, at_least: int | None, as_of: str | None) -> LineagePage:
    with backend.reading_as_of(as_of, at_least, *SHOWN) as (connection, position, at):
        view = find_view(connection, view_id, as_of=at)
        project = find_project(connection, view.project_id, as_of=at) if view else None
        if view is None or project is None:
            raise NotFound(f"view not found{at_position(at)}")
        return LineagePage(
            position=position,
            api=f"/api/v1/views/{view_id}/models",
            moment=moment_of(backend, connection, at, SHOWN),
            project=project,
            view=view,
            annotations=count_views(connection, view.project_id, [view_id], as_of=at)[view_id],
            tree=read_tree(connection, view_id, as_of=at),
        )
