"""The pages of projects: their list, and one with its images and views."""

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlencode

import msgspec
from litestar import Controller, get
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Template

from api.pages_html import Page, render
from api.parameters import AtLeast, Cursor, HttpRequest, Served, position_in
from domain.errors import NotFound
from projections.catalog import ProjectRow, ViewRow, find_project, list_projects, list_views
from projections.dataset import DatasetCounts, ImageRow, count_images, list_images

PROJECTS_A_PAGE = 50
IMAGES_A_PAGE = 60


class ProjectsPage(Page, frozen=True, kw_only=True):
    """Projects, newest first; `following` is the address of the next ones."""

    projects: list[ProjectRow]
    name: str
    first: bool
    following: str | None
    base_url: str


class ImageFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which images are shown, as the address says it; an empty text does not restrict.

    `annotated` is yes or no.
    """

    split: str = ""
    view: str = ""
    concept: str = ""
    annotated: str = ""

    @property
    def any(self) -> bool:
        return any(msgspec.structs.astuple(self))

    def address(self, cursor: int | None = None) -> str:
        return address(msgspec.structs.asdict(self), cursor)


class ProjectPage(Page, frozen=True, kw_only=True):
    """A project; `seen` is the view by whose concepts the images are filtered and labelled."""

    project: ProjectRow
    counts: DatasetCounts
    views: list[ViewRow]
    seen: ViewRow | None
    images: list[ImageRow]
    filter: ImageFilter
    first: bool
    following: str | None
    base_url: str

    @property
    def labels(self) -> dict[str, str]:
        concepts = self.seen.concepts if self.seen else []
        return {concept.concept_id: concept.label for concept in concepts}


class ProjectPages(Controller):
    """Projects."""

    @get("/", sync_to_thread=True)
    def projects(
        self,
        backend: Served,
        request: HttpRequest,
        name: FromQuery[str] = "",
        cursor: Cursor = None,
        at_least: AtLeast = None,
    ) -> Template:
        with backend.reading(at_least) as (connection, position):
            found = list_projects(
                connection, before=position_in(cursor), limit=PROJECTS_A_PAGE + 1, name=name
            )
        shown = found[:PROJECTS_A_PAGE]
        page = ProjectsPage(
            position=position,
            api="/api/v1/projects",
            projects=shown,
            name=name,
            first=cursor is None,
            following=address({"name": name}, shown[-1].created_position)
            if len(found) > len(shown)
            else None,
            base_url=str(request.base_url).rstrip("/"),
        )
        return render("projects.html", page)

    @get("/projects/{project_id:str}", sync_to_thread=True)
    def project(
        self,
        backend: Served,
        request: HttpRequest,
        project_id: FromPath[str],
        split: Annotated[str, QueryParameter(pattern="^(train|validation|)$")] = "",
        view: FromQuery[str] = "",
        concept: FromQuery[str] = "",
        annotated: Annotated[str, QueryParameter(pattern="^(yes|no|)$")] = "",
        cursor: Cursor = None,
        at_least: AtLeast = None,
    ) -> Template:
        with backend.reading(at_least) as (connection, position):
            project = find_project(connection, project_id)
            if project is None:
                raise NotFound("there is no such project")
            views = list_views(connection, project_id)
            seen = next((one for one in views if one.view_id == view), None)
            known = seen is not None and concept in {one.concept_id for one in seen.concepts}
            # What is asked of another view's concepts would silently find nothing.
            wanted = ImageFilter(
                split=split,
                view=view if seen else "",
                concept=concept if known else "",
                annotated=annotated if seen else "",
            )
            found = list_images(
                connection,
                project_id,
                view_id=wanted.view or None,
                split=wanted.split or None,
                concept_id=wanted.concept or None,
                annotated=(wanted.annotated == "yes") if wanted.annotated else None,
                after=position_in(cursor),
                limit=IMAGES_A_PAGE + 1,
            )
            counts = count_images(connection, project_id)
        shown = found[:IMAGES_A_PAGE]
        page = ProjectPage(
            position=position,
            api=f"/api/v1/projects/{project_id}",
            project=project,
            counts=counts,
            views=views,
            seen=seen,
            images=shown,
            filter=wanted,
            first=cursor is None,
            following=wanted.address(shown[-1].added_position) if len(found) > len(shown) else None,
            base_url=str(request.base_url).rstrip("/"),
        )
        return render("project.html", page)


def address(filters: Mapping[str, str], cursor: int | None = None) -> str:
    """The query of an address: the filters that restrict, and where the page begins."""
    told = {key: value for key, value in filters.items() if value}
    if cursor is not None:
        told["cursor"] = str(cursor)
    return f"?{urlencode(told)}"
