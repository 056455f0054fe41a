"""The pages of projects: their list, and one with its images, counted, and its views."""

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlencode

import msgspec
from litestar import Controller, get
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Template

from api.access.rights import ACCOUNT, needs
from api.http.parameters import AtLeast, Cursor, HttpRequest, Served, position_in
from api.pages.html import Page, render
from domain.access.roles import Right
from domain.errors import NotFound
from projections.dataset.catalog import (
    CATALOG,
    ProjectRow,
    ViewRow,
    find_project,
    list_projects,
    list_views,
)
from projections.dataset.dataset import DATASET
from projections.dataset.index_scans import ImageFilter
from projections.dataset.queries import (
    ConceptCount,
    DatasetCounts,
    ImageRow,
    ViewCounts,
    count_images,
    count_views,
    list_images,
)

PROJECTS_A_PAGE = 50
IMAGES_A_PAGE = 60


class ProjectsPage(Page, frozen=True, kw_only=True):
    """Projects, newest first; `following` is the address of the next ones."""

    projects: list[ProjectRow]
    name: str
    first: bool
    following: str | None
    base_url: str


class NoRolePage(Page, frozen=True, kw_only=True):
    """For somebody who may see nothing yet."""

    actor: str


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """Which images are shown, as the address says it; an empty text does not restrict.

    `annotated` is yes, no, or without (a concept); `order` is empty for the oldest first.
    """

    split: str = ""
    view: str = ""
    concept: str = ""
    annotated: str = ""
    order: str = ""

    @property
    def any(self) -> bool:
        return any(msgspec.structs.astuple(msgspec.structs.replace(self, order="")))

    @property
    def newest(self) -> bool:
        return self.order == "newest"

    @property
    def wanted(self) -> ImageFilter:
        return ImageFilter(
            split=self.split or None,
            view_id=self.view or None,
            concept_id=self.concept or None,
            annotated={"yes": True, "no": False}.get(self.annotated),
            without_concept=self.annotated == "without",
        )

    def within(self, views: list[ViewRow]) -> "Shown":
        """The same without what these views lack: it would silently find nothing."""
        seen = next((one for one in views if one.view_id == self.view), None)
        known = {one.concept_id for one in seen.concepts} if seen else set()
        return msgspec.structs.replace(
            self,
            view=self.view if seen else "",
            concept=self.concept if self.concept in known else "",
            annotated=self.annotated if seen else "",
        )

    def address(self, cursor: int | None = None, **others: str) -> str:
        """The address of the same, with other values of some."""
        return address(msgspec.structs.asdict(self) | others, cursor)


class ProjectPage(Page, frozen=True, kw_only=True):
    """A project; `seen` is the view by whose concepts the images are filtered and labelled."""

    project: ProjectRow
    counts: DatasetCounts
    views: list[ViewRow]
    per_view: dict[str, ViewCounts]
    seen: ViewRow | None
    images: list[ImageRow]
    filter: Shown
    first: str | None
    previous: str | None
    following: str | None
    base_url: str

    @property
    def labels(self) -> dict[str, str]:
        concepts = self.seen.concepts if self.seen else []
        return {concept.concept_id: concept.label for concept in concepts}

    @property
    def held(self) -> dict[str, ConceptCount]:
        """The counts of the seen view's concepts, by id."""
        counted = self.per_view[self.seen.view_id].concepts if self.seen else []
        return {one.concept_id: one for one in counted}


class ProjectPages(Controller):
    """Projects."""

    @get("/", sync_to_thread=True, opt=ACCOUNT)
    def projects(
        self,
        backend: Served,
        request: HttpRequest,
        name: FromQuery[str] = "",
        cursor: Cursor = None,
        at_least: AtLeast = None,
    ) -> Template:
        among = request.user.grants.projects(Right.READ)
        if among == frozenset():
            return render("access/no_role.html", NoRolePage(actor=request.user.actor))
        with backend.reading(at_least, CATALOG) as (connection, position):
            found = list_projects(
                connection,
                before=position_in(cursor),
                limit=PROJECTS_A_PAGE + 1,
                name=name,
                among=among,
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
        return render("dataset/projects.html", page)

    @get("/projects/{project_id:str}", sync_to_thread=True, opt=needs(Right.READ, of="project_id"))
    def project(
        self,
        backend: Served,
        request: HttpRequest,
        project_id: FromPath[str],
        split: Annotated[str, QueryParameter(pattern="^(train|validation|)$")] = "",
        view: FromQuery[str] = "",
        concept: FromQuery[str] = "",
        annotated: Annotated[str, QueryParameter(pattern="^(yes|no|without|)$")] = "",
        order: Annotated[str, QueryParameter(pattern="^(newest|)$")] = "",
        cursor: Cursor = None,
        before: Annotated[int | None, QueryParameter(ge=0)] = None,
        at_least: AtLeast = None,
    ) -> Template:
        asked = Shown(split=split, view=view, concept=concept, annotated=annotated, order=order)
        after = position_in(cursor)
        with backend.reading(at_least, CATALOG, DATASET) as (connection, position):
            project = find_project(connection, project_id)
            if project is None:
                raise NotFound("there is no such project")
            views = list_views(connection, project_id)
            shown = asked.within(views)
            found = list_images(
                connection,
                project_id,
                shown.wanted,
                after=before if before is not None else after,
                newest=shown.newest != (before is not None),
                limit=IMAGES_A_PAGE + 1,
            )
            counts = count_images(connection, project_id)
            per_view = count_views(connection, project_id, [one.view_id for one in views])
        images, more = found[:IMAGES_A_PAGE], len(found) > IMAGES_A_PAGE
        if before is not None:
            images = images[::-1]
        earlier = more if before is not None else after is not None
        later = more or before is not None
        page = ProjectPage(
            position=position,
            api=f"/api/v1/projects/{project_id}",
            project=project,
            counts=counts,
            views=views,
            per_view=per_view,
            seen=next((one for one in views if one.view_id == shown.view), None),
            images=images,
            filter=shown,
            first=shown.address() if earlier else None,
            previous=shown.address(before=str(images[0].added_position))
            if images and earlier
            else None,
            following=shown.address(images[-1].added_position) if images and later else None,
            base_url=str(request.base_url).rstrip("/"),
        )
        return render("dataset/project.html", page)


def address(filters: Mapping[str, str], cursor: int | None = None) -> str:
    """The query of an address: the filters that restrict, and where the page begins."""
    told = {key: value for key, value in filters.items() if value}
    if cursor is not None:
        told["cursor"] = str(cursor)
    return f"?{urlencode(told)}"
