"""The page on which a view's images are annotated, one after the other."""

from typing import Annotated

import msgspec
from litestar import Controller, get
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Template

from api.access.rights import needs
from api.dataset.erasure import OF_IMAGES, image_there
from api.dataset.projects_page import Shown
from api.http.parameters import AtLeast, Served
from api.pages.html import Page, render
from domain.access.roles import Right
from domain.errors import NotFound
from projections.dataset.catalog import CATALOG, ProjectRow, ViewRow, find_project, find_view
from projections.dataset.index_scans import ImageFilter
from projections.dataset.queries import (
    ConceptCount,
    ImageRow,
    ViewCounts,
    count_views,
    list_images,
)

KEYS = "1234567890abcdefghijklmnopqrstuvwxyz"
"""The keys of a view's concepts, in their order."""


class Work(msgspec.Struct, frozen=True):
    """What the page's script starts from; `among` are the query parameters of the images' list."""

    view_id: str
    project_id: str
    kind: str
    labels: dict[str, str]
    among: dict[str, str]
    image: ImageRow


class AnnotatePage(Page, frozen=True, kw_only=True):
    """An image of a view; None where there is no image to annotate."""

    project: ProjectRow
    view: ViewRow
    said: ViewCounts
    image: ImageRow | None
    filter: Shown

    @property
    def keys(self) -> list[tuple[str, str, str]]:
        """Each concept's id, label and key; the key is empty where there are too many."""
        keys = KEYS.ljust(len(self.view.concepts))
        return [
            (one.concept_id, one.label, key.strip())
            for one, key in zip(self.view.concepts, keys, strict=False)
        ]

    @property
    def work(self) -> str:
        assert self.image is not None
        wanted = self.filter.wanted
        among = {
            "split": wanted.split,
            "concept_id": wanted.concept_id,
            "annotated": {True: "true", False: "false", None: None}[wanted.annotated],
            "without_concept": "true" if wanted.without_concept else None,
        }
        work = Work(
            self.view.view_id,
            self.project.project_id,
            self.view.kind,
            {one.concept_id: one.label for one in self.view.concepts},
            {key: value for key, value in among.items() if value is not None},
            self.image,
        )
        return msgspec.json.encode(work).decode()

    def count(self, concept_id: str) -> ConceptCount:
        known = (one for one in self.said.concepts if one.concept_id == concept_id)
        return next(known, ConceptCount(concept_id, 0, 0))


class AnnotatePages(Controller):
    """Annotating."""

    @get("/views/{view_id:str}/annotate", sync_to_thread=True, opt=needs(Right.READ, of="view_id"))
    def annotate(
        self,
        backend: Served,
        view_id: FromPath[str],
        image: FromQuery[str] = "",
        split: Annotated[str, QueryParameter(pattern="^(train|validation|)$")] = "",
        concept: FromQuery[str] = "",
        annotated: Annotated[str, QueryParameter(pattern="^(yes|no|without|)$")] = "",
        at_least: AtLeast = None,
    ) -> Template:
        with backend.reading(at_least, CATALOG, *OF_IMAGES) as (connection, position):
            view = find_view(connection, view_id)
            project = find_project(connection, view.project_id) if view else None
            if view is None or project is None:
                raise NotFound("there is no such view")
            asked = Shown(split=split, view=view_id, concept=concept, annotated=annotated)
            shown = asked.within([view])
            chosen = None
            if image:
                chosen = image_there(connection, image, view_id=view_id)
                if chosen.project_id != project.project_id:
                    raise NotFound("there is no such image in the view's project")
            else:
                undone = ImageFilter(view_id=view_id, split=split or None, annotated=False)
                for wanted in (undone, shown.wanted):
                    first = list_images(connection, project.project_id, wanted, limit=1)
                    chosen = chosen or next(iter(first), None)
            said = count_views(connection, project.project_id, [view_id])[view_id]
        page = AnnotatePage(
            position=position,
            api=f"/api/v1/images/{chosen.image_id}?view_id={view_id}" if chosen else None,
            project=project,
            view=view,
            said=said,
            image=chosen,
            filter=shown,
        )
        return render("library/annotate.html", page)
