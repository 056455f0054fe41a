"""The worst errors of a version, as a part that its page loads by itself."""

from litestar import Controller, get
from litestar.params import FromPath
from litestar.response import Template

from adapters.evaluation.gallery import HIGHEST, ImageResult
from api.access.rights import needs
from api.evaluation.evaluated import find_evaluated
from api.evaluation.gallery_request import GalleryRequest
from api.evaluation.page import VersionPart, find_rows, surroundings
from api.evaluation.views import gallery_of, judged
from api.http.parameters import AtLeast, Served
from api.pages.html import render
from domain.access.roles import Right
from domain.errors import Conflict, Gone
from domain.library.view import CLASSIFICATION
from projections.dataset.queries import ImageRow

MOST = 6


class WorstErrors(VersionPart, frozen=True, kw_only=True):
    """The validation images with the surest errors, or the `reason` why there are none.

    `query` is that of the gallery that shows all `count` of them.
    """

    images: list[ImageResult]
    rows: dict[str, ImageRow]
    labels: dict[str, str]
    count: int
    query: str
    reason: str


class WorstErrorPages(Controller):
    """Worst errors."""

    @get(
        "/versions/{version_id:str}/evaluation/worst",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def worst(
        self, backend: Served, version_id: FromPath[str], at_least: AtLeast = None
    ) -> Template:
        around = surroundings(backend, version_id, at_least)
        is_classified = around.view.kind == CLASSIFICATION
        shown = GalleryRequest(show="misclassified" if is_classified else "errors", sort=HIGHEST)
        images: list[ImageResult] = []
        labels: dict[str, str] = {}
        count, reason = 0, ""
        try:
            evaluated = find_evaluated(backend, version_id)
            labels = evaluated.labels
            matching = gallery_of(evaluated, shown)
            count = matching.count
            images = judged(evaluated, matching.after(None, MOST), None)
        except (Conflict, Gone) as problem:
            reason = problem.detail
        page = WorstErrors(
            position=around.position,
            project=around.project,
            view=around.view,
            model=around.model,
            version=around.version,
            images=images,
            rows=find_rows(backend, [image.image_id for image in images]),
            labels=labels,
            count=count,
            query=f"?show={shown.show}&sort={HIGHEST}",
            reason=reason,
        )
        return render("evaluation/worst.html", page)
