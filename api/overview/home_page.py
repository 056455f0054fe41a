"""Home: what runs, what waits for the caller, and the projects."""

from litestar import Controller, get
from litestar.params import FromQuery
from litestar.response import Template

from api.access.rights import ACCOUNT
from api.dataset.projects_page import address
from api.http.parameters import AtLeast, Cursor, HttpRequest, Served, position_in
from api.overview.tasks import READ, Tasks, tasks_for
from api.pages.html import Page, render
from domain.access.roles import Right
from projections.dataset.catalog import ProjectRow, list_projects
from projections.dataset.index_scans import ImageFilter
from projections.dataset.queries import list_images
from projections.overview.cards import ProjectCard, cards_of
from projections.overview.tasks import count_unfinished
from projections.training.library_queries import VersionRow, list_unfinished
from projections.training.version_progress import (
    VERSION_PROGRESS,
    ProgressRow,
    progress_by_version,
)

RUNNING_SHOWN = 10
PROJECTS_A_PAGE = 24
SHOWN = (*READ, VERSION_PROGRESS)
"""The read models that the page shows."""


class HomePage(Page, frozen=True, kw_only=True):
    """Projects, newest first; `following` is the address of the next page.

    `running` are the first of the `unfinished` trainings, oldest first, and `progress` how far they
    are, by version id. `cards` and `thumbnails` are by project id; a project without images has no
    thumbnail. `creates` is whether the caller may create projects.
    """

    projects: list[ProjectRow]
    running: list[VersionRow]
    unfinished: int
    progress: dict[str, ProgressRow]
    tasks: Tasks
    thumbnails: dict[str, str]
    cards: dict[str, ProjectCard]
    creates: bool
    name: str
    first: bool
    following: str | None
    base_url: str


class NoRolePage(Page, frozen=True, kw_only=True):
    """The page for an account without any role."""

    actor: str


class HomePages(Controller):
    """Home."""

    @get("/", sync_to_thread=True, opt=ACCOUNT)
    def home(
        self,
        backend: Served,
        request: HttpRequest,
        name: FromQuery[str] = "",
        cursor: Cursor = None,
        at_least: AtLeast = None,
    ) -> Template:
        grants = request.user.grants
        among = grants.projects(Right.READ)
        if among == frozenset():
            return render("access/no_role.html", NoRolePage(actor=request.user.actor))
        with backend.reading(at_least, *SHOWN) as (connection, position):
            rows = list_projects(
                connection,
                before=position_in(cursor),
                limit=PROJECTS_A_PAGE + 1,
                name=name,
                among=among,
            )
            shown = rows[:PROJECTS_A_PAGE]
            ids = [row.project_id for row in shown]
            firsts = {key: list_images(connection, key, ImageFilter(), limit=1) for key in ids}
            running = list_unfinished(connection, limit=RUNNING_SHOWN, among=among)
            keys = [version.version_id for version in running]
            page = HomePage(
                position=position,
                api="/api/v1/projects",
                projects=shown,
                running=running,
                unfinished=count_unfinished(connection, among),
                progress=progress_by_version(connection, keys),
                tasks=tasks_for(connection, request.user),
                thumbnails={key: found[0].image_id for key, found in firsts.items() if found},
                cards=cards_of(connection, ids),
                creates=grants.may_somewhere(Right.TRAIN),
                name=name,
                first=cursor is None,
                following=address({"name": name}, shown[-1].created_position)
                if len(rows) > len(shown)
                else None,
                base_url=str(request.base_url).rstrip("/"),
            )
        return render("overview/home.html", page)
