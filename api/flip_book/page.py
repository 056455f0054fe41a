"""The flip book's page: the data map of a version's items, epoch by epoch."""

import msgspec
from litestar import Controller, get
from litestar.params import FromPath
from litestar.response import Template

from api.access.rights import needs
from api.backend import NotYet
from api.flip_book.book import SHOWN as RECORDED
from api.flip_book.book import Recording
from api.flip_book.messages import ITEMS
from api.http.parameters import AsOf, AtLeast, HttpRequest, Served
from api.pages.html import Page, render
from api.pages.past import Moment, at_position, moment_of
from domain.access.roles import Right
from domain.errors import NotFound
from domain.training.version import ENDED
from projections.dataset.catalog import CATALOG, ProjectRow, ViewRow, find_project, find_view
from projections.flip_book.flip_book import count_epochs, find_discarded
from projections.training.library_queries import ModelRow, VersionRow, find_model, find_version

SHOWN = (CATALOG, *RECORDED)
"""The read models that the page shows."""


class FlipBookWork(msgspec.Struct, frozen=True):
    """The data of the page's script; `as_of` is the position of a past moment, `audits` whether the
    reader may see the trail."""

    api: str
    version_id: str
    project_id: str
    view_id: str
    kind: str
    ended: bool
    audits: bool
    as_of: int | None


class FlipBookPage(Page, frozen=True, kw_only=True):
    """A version's flip book at a moment; `work` is for its script."""

    moment: Moment
    project: ProjectRow
    view: ViewRow
    model: ModelRow
    version: VersionRow
    recording: Recording
    work: str

    @property
    def of_what(self) -> str:
        """What an item is."""
        return ITEMS[self.view.kind]

    @property
    def off(self) -> bool:
        """Whether the version was trained without recording."""
        return self.version.trainer is not None or not self.version.options.recorded_images

    @property
    def ended(self) -> bool:
        return self.version.status in ENDED


class FlipBookPages(Controller):
    """The flip book."""

    @get(
        "/versions/{version_id:str}/flip-book",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def flip_book(
        self,
        backend: Served,
        request: HttpRequest,
        version_id: FromPath[str],
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> Template:
        with backend.reading_as_of(as_of, at_least, *SHOWN) as (connection, position, at):
            version = find_version(connection, version_id, as_of=at)
            if version is None:
                raise NotFound(f"version not found{at_position(at)}")
            project = find_project(connection, version.project_id, as_of=at)
            view = find_view(connection, version.view_id, as_of=at)
            model = find_model(connection, version.model_id, as_of=at)
            count = count_epochs(connection, version_id, upto=at)
            discarded = find_discarded(connection, version_id)
            moment = moment_of(backend, connection, at, SHOWN)
        if project is None or view is None or model is None:
            raise NotYet("the read models are still catching up; reload in a moment")
        work = FlipBookWork(
            api=f"/api/v1/versions/{version_id}/flip-book",
            version_id=version_id,
            project_id=project.project_id,
            view_id=view.view_id,
            kind=view.kind,
            ended=version.status in ENDED,
            audits=request.user.grants.may(Right.AUDIT, project.project_id),
            as_of=moment.as_of,
        )
        page = FlipBookPage(
            position=position,
            api=moment.of(work.api),
            moment=moment,
            project=project,
            view=view,
            model=model,
            version=version,
            recording=Recording(version, count, discarded, position),
            work=msgspec.json.encode(work).decode(),
        )
        return render("flip_book/flip_book.html", page)
