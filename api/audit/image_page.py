"""The page of one image: its annotations, who changed it, and its erasure."""

import msgspec
from litestar import Controller, get
from litestar.params import FromPath
from litestar.response import Template
from sqlalchemy import Connection

from api.access.rights import needs
from api.audit.page import page_of
from api.audit.trail_reading import TrailQuery, find_lines
from api.backend import Backend, NotYet
from api.dataset.erasure import OF_IMAGES, image_there
from api.http.parameters import AtLeast, HttpRequest, Served
from api.pages.html import Page, render
from domain.access.roles import Right
from domain.aggregates import IMAGE
from domain.audit.trail import Line
from domain.dataset.annotation import Annotation
from projections.dataset.catalog import (
    CATALOG,
    ConceptRow,
    ProjectRow,
    ViewRow,
    find_project,
    list_views,
)
from projections.dataset.queries import ImageRow, find_image

LINES_SHOWN = 20


class InView(msgspec.Struct, frozen=True):
    """What an image is annotated with in a view: each concept, and how often."""

    view: ViewRow
    concepts: list[tuple[ConceptRow, int]]
    without_concept: bool
    reviewed_by: str | None


class History(msgspec.Struct, frozen=True):
    """The newest lines of the trail of an image; `more` says that there are earlier ones."""

    stream: str
    lines: list[Line]
    more: bool

    def page_of(self, line: Line) -> str | None:
        """The page of what a line is about."""
        return page_of(line)


class ImagePage(Page, frozen=True, kw_only=True):
    """An image, its project and its annotations; `history` is None without the right to audit."""

    project: ProjectRow
    image: ImageRow
    annotated: list[InView]
    history: History | None


class ImagePages(Controller):
    """Images."""

    @get("/images/{image_id:str}", sync_to_thread=True, opt=needs(Right.READ, of="image_id"))
    def image(
        self,
        backend: Served,
        request: HttpRequest,
        image_id: FromPath[str],
        at_least: AtLeast = None,
    ) -> Template:
        with backend.reading(at_least, CATALOG, *OF_IMAGES) as (connection, position):
            image = image_there(connection, image_id)
            project = find_project(connection, image.project_id)
            annotated = _annotated(connection, image)
        if project is None:
            raise NotYet("the read models are still catching up; reload in a moment")
        audits = request.user.grants.may(Right.AUDIT, image.project_id)
        page = ImagePage(
            position=position,
            api=f"/api/v1/images/{image_id}",
            project=project,
            image=image,
            annotated=annotated,
            history=_history(backend, image_id, at_least) if audits else None,
        )
        return render("dataset/image.html", page)


def _annotated(connection: Connection, image: ImageRow) -> list[InView]:
    """The views in which the image is annotated, in their order."""
    found = []
    for view in list_views(connection, image.project_id):
        in_view = find_image(connection, image.image_id, view_id=view.view_id)
        if in_view is None:
            continue
        concepts = _counted(view, in_view.annotations)
        if concepts or in_view.without_concept:
            found.append(InView(view, concepts, in_view.without_concept, in_view.reviewed_by))
    return found


def _counted(view: ViewRow, annotations: list[Annotation]) -> list[tuple[ConceptRow, int]]:
    ids = [annotation.concept_id for annotation in annotations]
    return [(each, ids.count(each.concept_id)) for each in view.concepts if each.concept_id in ids]


def _history(backend: Backend, image_id: str, at_least: int | None) -> History:
    stream = IMAGE.stream(image_id)
    found = find_lines(backend, TrailQuery(stream=stream), None, LINES_SHOWN, at_least)
    return History(stream, found.lines, found.more)
