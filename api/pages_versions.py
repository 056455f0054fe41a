"""The page of a version: its steps, its metrics as they come, and what it was made of."""

from litestar import Controller, get
from litestar.params import FromPath
from litestar.response import Template

from api.backend import NotYet
from api.pages_html import Page, indicator_of, render
from api.parameters import AtLeast, Served
from domain.errors import NotFound
from domain.option_facts import Fact, facts_of
from domain.version import ENDED
from projections.catalog import ProjectRow, ViewRow, find_project, find_view
from projections.library_queries import ModelRow, VersionRow, find_model, find_version
from projections.version_progress import ProgressRow, find_progress

STEP_LABELS = {
    "queued": "Queued",
    "preparing": "Preparing data",
    "training": "Training",
    "evaluating": "Evaluating",
    "saving": "Saving",
}


class VersionPage(Page, frozen=True, kw_only=True):
    """A version with all it belongs to; `origin` is the version it started from."""

    project: ProjectRow
    view: ViewRow
    model: ModelRow
    version: VersionRow
    progress: ProgressRow
    origin: VersionRow | None
    step_labels: dict[str, str]

    @property
    def ended(self) -> bool:
        return self.version.status in ENDED

    @property
    def options(self) -> list[Fact]:
        return facts_of(self.view.kind, self.version.options)

    @property
    def indicator(self) -> str:
        return indicator_of(self.view.kind)


class VersionPages(Controller):
    """Versions."""

    @get("/versions/{version_id:str}", sync_to_thread=True)
    def version(
        self, backend: Served, version_id: FromPath[str], at_least: AtLeast = None
    ) -> Template:
        with backend.reading(at_least) as (connection, position):
            version = find_version(connection, version_id)
            progress = find_progress(connection, version_id)
            if version is None or progress is None:
                raise NotFound("there is no such version")
            project = find_project(connection, version.project_id)
            view = find_view(connection, version.view_id)
            model = find_model(connection, version.model_id)
            start = version.options.start_from
            origin = find_version(connection, start) if start else None
        if project is None or view is None or model is None:
            raise NotYet("the read models are still catching up; reload in a moment")
        page = VersionPage(
            position=position,
            api=f"/api/v1/versions/{version_id}",
            project=project,
            view=view,
            model=model,
            version=version,
            progress=progress,
            origin=origin,
            step_labels=STEP_LABELS,
        )
        return render("version.html", page)
