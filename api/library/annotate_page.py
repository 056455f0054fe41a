"""The page where a view's images are annotated one after the other."""

from typing import Annotated
from urllib.parse import quote

import msgspec
from litestar import Controller, get
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Template

from api.access.rights import needs
from api.dataset.erasure import OF_IMAGES, image_there
from api.dataset.projects_page import ImageQuery
from api.http.parameters import AtLeast, HttpRequest, Served
from api.pages.html import Page, render
from domain.access.roles import Right
from domain.errors import NotFound
from projections.dataset.agreement import AGREEMENT, hidden, images_for
from projections.dataset.catalog import CATALOG, ProjectRow, ViewRow, find_project, find_view
from projections.dataset.child_items import parents_of
from projections.dataset.index_scans import ImageFilter
from projections.dataset.queries import (
    ConceptCount,
    ImageRow,
    ViewCounts,
    count_views,
    list_images,
)
from projections.training.suggestions import (
    DONE,
    SUGGESTIONS,
    Outcomes,
    newest_request,
    outcomes_of,
)

KEYS = "1234567890abcdefghijklmnopqrstuvwxyz"
"""The keys of a view's concepts, in their order; those beyond are found by searching."""
SEARCHED = 9
"""The least number of concepts that can be searched on the page."""

_OWN_PAGE = r"^(/[^/\\].*|)$"
"""The address of a page of this server, or nothing: `//host` and `/\\host` would be another's."""


class Work(msgspec.Struct, frozen=True):
    """The data of the page's script; `among` are the query parameters of the list of images.

    `saved_at` is the address at which the first image is saved as a suspect, and `back` the page to
    go back to once it is saved; each is empty if there is none. `suggests` is whether a version has
    made suggestions, and `queue` by what they are ordered, if they are. `blind` is the share of
    images to annotate without seeing their annotations, 0 if these are shown.
    """

    view_id: str
    project_id: str
    kind: str
    crops: bool
    labels: dict[str, str]
    among: dict[str, str]
    image: ImageRow
    saved_at: str
    back: str
    suggests: bool
    queue: str
    blind: float


class AnnotatePage(Page, frozen=True, kw_only=True):
    """An image of a view; None where there is no image to annotate.

    `version` and `suspect` name the suspect that it was opened on, and `back` is where from.
    """

    project: ProjectRow
    view: ViewRow
    annotations: ViewCounts
    image: ImageRow | None
    filter: ImageQuery
    version: str
    suspect: str
    back: str
    suggests: bool
    outcomes: Outcomes | None
    queue: str
    blind: float

    @property
    def keys(self) -> list[tuple[str, str, str]]:
        """Each concept's id, label and key; the key is empty beyond the last of `KEYS`.

        A label that is one of the keys has itself as key: that of the digit 4 is 4.
        """
        own = {concept.label.lower() for concept in self.view.concepts} & set(KEYS)
        others = iter([key for key in KEYS if key not in own])
        keys = []
        for concept in self.view.concepts:
            label = concept.label.lower()
            key = label if label in own else next(others, "")
            own.discard(label)
            keys.append((concept.concept_id, concept.label, key))
        return keys

    @property
    def searchable(self) -> bool:
        return len(self.view.concepts) >= SEARCHED

    @property
    def work(self) -> str:
        assert self.image is not None
        image_filter = self.filter.image_filter
        among = {
            "split": image_filter.split,
            "concept_id": image_filter.concept_id,
            "annotated": {True: "true", False: "false", None: None}[image_filter.annotated],
            "without_concept": "true" if image_filter.without_concept else None,
            "reviewed": {True: "true", False: "false", None: None}[image_filter.reviewed],
        }
        work = Work(
            self.view.view_id,
            self.project.project_id,
            self.view.kind,
            self.view.crops,
            {concept.concept_id: concept.label for concept in self.view.concepts},
            {key: value for key, value in among.items() if value is not None},
            self.image,
            self._saved_at,
            self.back,
            self.suggests,
            self.queue,
            self.blind,
        )
        return msgspec.json.encode(work).decode()

    @property
    def _saved_at(self) -> str:
        if not (self.version and self.suspect):
            return ""
        version, suspect = quote(self.version, ""), quote(self.suspect, "")
        return f"/api/v1/versions/{version}/suspects/{suspect}/annotations"

    def count(self, concept_id: str) -> ConceptCount:
        counts = (row for row in self.annotations.concepts if row.concept_id == concept_id)
        return next(counts, ConceptCount(concept_id, 0, 0))


class AnnotatePages(Controller):
    """Annotation."""

    @get("/views/{view_id:str}/annotate", sync_to_thread=True, opt=needs(Right.READ, of="view_id"))
    def annotate(
        self,
        backend: Served,
        request: HttpRequest,
        view_id: FromPath[str],
        image: FromQuery[str] = "",
        split: Annotated[str, QueryParameter(pattern="^(train|validation|)$")] = "",
        concept: FromQuery[str] = "",
        annotated: Annotated[str, QueryParameter(pattern="^(yes|no|without|)$")] = "",
        reviewed: Annotated[str, QueryParameter(pattern="^(yes|no|)$")] = "",
        version: FromQuery[str] = "",
        suspect: FromQuery[str] = "",
        back: Annotated[str, QueryParameter(pattern=_OWN_PAGE)] = "",
        queue: Annotated[str, QueryParameter(pattern="^(entropy|margin|)$")] = "",
        blind: Annotated[float, QueryParameter(ge=0, le=1)] = 0,
        at_least: AtLeast = None,
    ) -> Template:
        shown = (CATALOG, SUGGESTIONS, AGREEMENT, *OF_IMAGES)
        with backend.reading(at_least, *shown) as (connection, position):
            view = find_view(connection, view_id)
            project = find_project(connection, view.project_id) if view else None
            if view is None or project is None:
                raise NotFound("view not found")
            query = ImageQuery(
                split=split, view=view_id, concept=concept, annotated=annotated, reviewed=reviewed
            )
            within = query.within([view])
            parents = parents_of(connection, [view_id])[view_id]
            chosen = None
            if image:
                chosen = image_there(connection, image, view_id=view_id, parents=parents)
                if chosen.project_id != project.project_id:
                    raise NotFound("image not found in the view's project")
            elif blind:
                among = images_for(
                    connection,
                    project.project_id,
                    view_id,
                    request.user.actor,
                    blind,
                    parents=parents,
                    limit=1,
                )
                chosen = next(iter(among), None)
            else:
                undone = ImageFilter(view_id=view_id, split=split or None, annotated=False)
                for wanted in [*([] if reviewed else [undone]), within.image_filter]:
                    image_filter = msgspec.structs.replace(wanted, parents=parents)
                    first = list_images(connection, project.project_id, image_filter, limit=1)
                    chosen = chosen or next(iter(first), None)
            request_shown = newest_request(connection, view_id)
            outcomes = (
                outcomes_of(connection, view_id, request_shown.version_id)
                if request_shown
                else None
            )
            counts = count_views(connection, project.project_id, [view_id])[view_id]
        page = AnnotatePage(
            position=position,
            api=f"/api/v1/images/{chosen.image_id}?view_id={view_id}" if chosen else None,
            project=project,
            view=view,
            annotations=counts,
            image=hidden(chosen) if blind and chosen else chosen,
            filter=within,
            version=version,
            suspect=suspect,
            back=back,
            suggests=not blind and request_shown is not None and request_shown.status == DONE,
            outcomes=outcomes,
            queue=queue,
            blind=blind,
        )
        return render("library/annotate.html", page)
