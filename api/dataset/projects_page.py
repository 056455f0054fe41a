"""The pages of a project: its images, counts, and views."""

from collections.abc import Iterator, Mapping
from typing import Annotated
from urllib.parse import urlencode

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Template

from api.access.rights import needs
from api.backend import Backend
from api.http.parameters import (
    AtLeast,
    Cursor,
    HttpRequest,
    Served,
    position_in,
    provided,
)
from api.pages.html import Page, render
from domain.access.roles import Right
from domain.errors import NotFound
from projections.dataset.catalog import (
    CATALOG,
    ProjectRow,
    ViewRow,
    find_project,
    list_views,
)
from projections.dataset.child_items import parents_of
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
from projections.overview.cards import BestVersion, best_of_views
from projections.training.models_library import MODELS_LIBRARY

IMAGES_A_PAGE = 60
SHOWN = (CATALOG, DATASET, MODELS_LIBRARY)
"""The read models that the pages show."""


class ImageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The filters of a project's images, as in the query string; an empty text does not restrict.

    `annotated` is yes, no, or without (a concept); `reviewed` is yes or no; `order` is empty for
    oldest first.
    """

    split: str = ""
    view: str = ""
    concept: str = ""
    annotated: str = ""
    reviewed: str = ""
    order: str = ""
    archived: str = ""
    """Whether archived views are listed, too: it filters no image."""

    @property
    def any(self) -> bool:
        return any(msgspec.structs.astuple(msgspec.structs.replace(self, order="", archived="")))

    @property
    def newest(self) -> bool:
        return self.order == "newest"

    @property
    def image_filter(self) -> ImageFilter:
        return ImageFilter(
            split=self.split or None,
            view_id=self.view or None,
            concept_id=self.concept or None,
            annotated={"yes": True, "no": False}.get(self.annotated),
            without_concept=self.annotated == "without",
            reviewed={"yes": True, "no": False}.get(self.reviewed),
        )

    def within(self, views: list[ViewRow]) -> "ImageQuery":
        """The same filters without a view or concept that these views lack, which would match
        nothing."""
        seen = next((view for view in views if view.view_id == self.view), None)
        concepts = {concept.concept_id for concept in seen.concepts} if seen else set()
        return msgspec.structs.replace(
            self,
            view=self.view if seen else "",
            concept=self.concept if self.concept in concepts else "",
            annotated=self.annotated if seen else "",
            reviewed=self.reviewed if seen else "",
        )

    def address(self, cursor: int | None = None, **others: str) -> str:
        """The address with these filters, some of them replaced."""
        return address(msgspec.structs.asdict(self) | others, cursor)


class ImagesAsked(msgspec.Struct, frozen=True):
    """The filters of images and the place in their list: `after` an image, or `before` one."""

    query: ImageQuery
    after: int | None
    before: int | None


class ProjectPage(Page, frozen=True, kw_only=True):
    """A project; `seen` is the view whose concepts filter and label the images.

    `tab` is overview, images or views: the first shows all. `best` are the best versions, by view.
    """

    tab: str
    project: ProjectRow
    counts: DatasetCounts
    views: list[ViewRow]
    per_view: dict[str, ViewCounts]
    best: Mapping[str, BestVersion]
    seen: ViewRow | None
    images: list[ImageRow]
    filter: ImageQuery
    first: str | None
    previous: str | None
    following: str | None
    base_url: str

    @property
    def view_choices(self) -> list[tuple[str, str]]:
        return [(view.view_id, view.name) for view in self.views]

    @property
    def tree(self) -> list[tuple[int, ViewRow]]:
        """The views, each with its depth and followed by its children."""
        listed = {view.view_id for view in self.views}
        below: dict[str | None, list[ViewRow]] = {}
        for view in self.views:
            below.setdefault(view.parent_id if view.parent_id in listed else None, []).append(view)

        def under(parent_id: str | None, depth: int) -> Iterator[tuple[int, ViewRow]]:
            for view in below.get(parent_id, []):
                yield depth, view
                yield from under(view.view_id, depth + 1)

        return list(under(None, 0))

    @property
    def labels(self) -> dict[str, str]:
        concepts = self.seen.concepts if self.seen else []
        return {concept.concept_id: concept.label for concept in concepts}

    @property
    def held(self) -> dict[str, ConceptCount]:
        """The counts of the concepts of `seen`, by id."""
        counts = self.per_view[self.seen.view_id].concepts if self.seen else []
        return {count.concept_id: count for count in counts}


def images_asked(
    split: Annotated[str, QueryParameter(pattern="^(train|validation|test|)$")] = "",
    view: FromQuery[str] = "",
    concept: FromQuery[str] = "",
    annotated: Annotated[str, QueryParameter(pattern="^(yes|no|without|)$")] = "",
    reviewed: Annotated[str, QueryParameter(pattern="^(yes|no|)$")] = "",
    order: Annotated[str, QueryParameter(pattern="^(newest|)$")] = "",
    archived: Annotated[str, QueryParameter(pattern="^(true|)$")] = "",
    cursor: Cursor = None,
    before: Annotated[int | None, QueryParameter(ge=0)] = None,
) -> ImagesAsked:
    query = ImageQuery(
        split=split,
        view=view,
        concept=concept,
        annotated=annotated,
        reviewed=reviewed,
        order=order,
        archived=archived,
    )
    return ImagesAsked(query, position_in(cursor), before)


ImagesAskedDependency = NamedDependency[ImagesAsked]


class ProjectPages(Controller):
    """Projects."""

    dependencies = provided(asked=images_asked)
    opt = needs(Right.READ, of="project_id")

    @get("/projects/{project_id:str}", sync_to_thread=True)
    def project(
        self,
        backend: Served,
        request: HttpRequest,
        project_id: FromPath[str],
        asked: ImagesAskedDependency,
        at_least: AtLeast = None,
    ) -> Template:
        return _rendered(backend, request, project_id, "overview", asked, at_least)

    @get("/projects/{project_id:str}/images", sync_to_thread=True)
    def images(
        self,
        backend: Served,
        request: HttpRequest,
        project_id: FromPath[str],
        asked: ImagesAskedDependency,
        at_least: AtLeast = None,
    ) -> Template:
        return _rendered(backend, request, project_id, "images", asked, at_least)

    @get("/projects/{project_id:str}/views", sync_to_thread=True)
    def views(
        self,
        backend: Served,
        request: HttpRequest,
        project_id: FromPath[str],
        asked: ImagesAskedDependency,
        at_least: AtLeast = None,
    ) -> Template:
        return _rendered(backend, request, project_id, "views", asked, at_least)


def _rendered(
    backend: Backend,
    request: HttpRequest,
    project_id: str,
    tab: str,
    asked: ImagesAsked,
    at_least: int | None,
) -> Template:
    after, before = asked.after, asked.before
    with backend.reading(at_least, *SHOWN) as (connection, position):
        project = find_project(connection, project_id)
        if project is None:
            raise NotFound("project not found")
        views = list_views(connection, project_id, archived=bool(asked.query.archived))
        shown = asked.query.within(views)
        parents = parents_of(connection, [shown.view])[shown.view] if shown.view else ()
        rows = list_images(
            connection,
            project_id,
            msgspec.structs.replace(shown.image_filter, parents=parents),
            after=before if before is not None else after,
            newest=shown.newest != (before is not None),
            limit=IMAGES_A_PAGE + 1,
        )
        counts = count_images(connection, project_id)
        view_ids = [row.view_id for row in views]
        per_view = count_views(connection, project_id, view_ids)
        best = best_of_views(connection, view_ids)
    images, more = rows[:IMAGES_A_PAGE], len(rows) > IMAGES_A_PAGE
    if before is not None:
        images = images[::-1]
    earlier = more if before is not None else after is not None
    later = more or before is not None
    page = ProjectPage(
        position=position,
        api=f"/api/v1/projects/{project_id}",
        tab=tab,
        project=project,
        counts=counts,
        views=views,
        per_view=per_view,
        best=best,
        seen=next((row for row in views if row.view_id == shown.view), None),
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
    """A query string: the filters that restrict, and the cursor."""
    query = {key: value for key, value in filters.items() if value}
    if cursor is not None:
        query["cursor"] = str(cursor)
    return f"?{urlencode(query)}"
