"""The page of the agreement between people who annotated a view's images."""

from litestar import Controller, get
from litestar.params import FromPath, FromQuery
from litestar.response import Template

from api.access.rights import needs
from api.dataset.agreement import (
    MOST,
    AgreementView,
    BlindAnnotations,
    agreement_in,
    blind_annotations,
)
from api.http.parameters import AtLeast, Cursor, Served
from api.pages.html import Page, render
from domain.access.roles import Right
from domain.audit.trail_words import annotations_in
from domain.dataset.annotation import Annotation
from domain.dataset.image import ImageAnnotated
from domain.errors import NotFound
from projections.dataset.catalog import (
    CATALOG,
    ProjectRow,
    ViewRow,
    find_project,
    find_view,
    labels_of,
)

IMAGES_A_PAGE = 30
SHARES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class AgreementPage(Page, frozen=True, kw_only=True):
    """How far people agree, and the images on which two of them do not."""

    project: ProjectRow
    view: ViewRow
    found: AgreementView
    listed: BlindAnnotations
    differing: bool
    labels: dict[str, str]
    most: int = MOST
    shares: tuple[float, ...] = SHARES

    @property
    def here(self) -> str:
        """The address to come back to from an image."""
        return f"/views/{self.view.view_id}/agreement?differing={str(self.differing).lower()}"

    def in_words(self, annotations: tuple[Annotation, ...]) -> str:
        shown = ImageAnnotated(self.view.view_id, annotations, not annotations)
        return annotations_in(shown, self.labels)


class AgreementPages(Controller):
    """Agreement."""

    @get(
        "/views/{view_id:str}/agreement",
        sync_to_thread=True,
        opt=needs(Right.READ, of="view_id"),
    )
    def agreement(
        self,
        backend: Served,
        view_id: FromPath[str],
        differing: FromQuery[bool] = True,
        cursor: Cursor = None,
        at_least: AtLeast = None,
    ) -> Template:
        with backend.reading(at_least, CATALOG) as (connection, position):
            view = find_view(connection, view_id)
            project = find_project(connection, view.project_id) if view else None
            labels = labels_of(connection, view_id)
        if view is None or project is None:
            raise NotFound("view not found")
        page = AgreementPage(
            position=position,
            api=f"/api/v1/views/{view_id}/agreement",
            project=project,
            view=view,
            found=agreement_in(backend, view_id, at_least),
            listed=blind_annotations(backend, view_id, differing, cursor, IMAGES_A_PAGE, at_least),
            differing=differing,
            labels=labels,
        )
        return render("dataset/agreement.html", page)
