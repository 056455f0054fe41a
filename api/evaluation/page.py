"""The pages of an evaluation: metrics, thresholds, curves, confusion, gallery, and image."""

from collections.abc import Iterable
from urllib.parse import urlencode

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template
from sqlalchemy import Connection

from adapters.evaluation.gallery import ImageResult
from api.access.rights import needs
from api.backend import Backend, NotYet
from api.dataset.erasure import describe_erasure
from api.evaluation.evaluated import EvaluatedVersion, check_is_evaluated, find_evaluated
from api.evaluation.evaluation import Preview
from api.evaluation.gallery_request import GALLERY_REQUEST, GalleryRequest
from api.evaluation.messages import SHOWN_IMAGES
from api.evaluation.slices import CalibrationView, SlicesView, calibration_view, slices_view
from api.evaluation.views import (
    ConfusionView,
    EvaluationView,
    confusion_view,
    evaluation_view,
    gallery_of,
    judged,
    place_in,
)
from api.http.parameters import AtLeast, Cursor, Served
from api.pages.html import Page, render
from domain.access.roles import Right
from domain.dataset.items import by_key, image_id_of
from domain.errors import Conflict, NotFound
from domain.library.view import CLASSIFICATION
from projections.dataset.catalog import CATALOG, ProjectRow, ViewRow, find_project, find_view
from projections.dataset.dataset import DATASET
from projections.dataset.erasures import ERASURES, find_erasures
from projections.dataset.queries import ImageRow, find_images
from projections.training.evaluations import EVALUATIONS, find_evaluation
from projections.training.library_queries import ModelRow, VersionRow, find_model, find_version
from projections.training.models_library import MODELS_LIBRARY

IMAGES_A_PAGE = 48
SHOWN = (CATALOG, DATASET, MODELS_LIBRARY, EVALUATIONS, ERASURES)
"""The read models of the pages of an evaluation."""

MATRIX_AT_MOST = 40
"""The most concepts of a confusion matrix that a page shows."""


class Surroundings(msgspec.Struct, frozen=True):
    """A version with its model, view and project, and the position that they reflect."""

    position: int
    project: ProjectRow
    view: ViewRow
    model: ModelRow
    version: VersionRow


class VersionPart(Page, frozen=True, kw_only=True):
    """The base of further pages of a version."""

    project: ProjectRow
    view: ViewRow
    model: ModelRow
    version: VersionRow


class NotEvaluatedPage(VersionPart, frozen=True, kw_only=True):
    """The page of a version that is not evaluated: the reason, and what to do."""

    reason: str
    failed: bool
    what: str


class EvaluationPage(VersionPart, frozen=True, kw_only=True):
    """An evaluation on a split, with a page of its gallery.

    `shown` is the query of images and `thresholds` the preview, as in the query string.
    """

    evaluation: EvaluationView
    confusion: ConfusionView | None
    too_large: bool
    shown: GalleryRequest
    thresholds: list[str]
    tabs: list[tuple[str, str]]
    images: list[ImageResult]
    rows: dict[str, ImageRow]
    labels: dict[str, str]
    slices: SlicesView
    calibration: CalibrationView
    count: int
    before: int
    first: bool
    previous: str | None
    following: str | None

    @property
    def any_filter(self) -> bool:
        shown = self.shown
        return shown.show != "all" or any((shown.concept, shown.actual, shown.predicted))

    def address(self, **others: str | None) -> str:
        """The address of this page with some values replaced."""
        return "?" + _query(self.shown, self.thresholds, self.slices.key or "", **others)

    def heat(self, row: int, column: int) -> int:
        """The shade of a cell of the confusion matrix, from 0 to 5."""
        assert self.confusion is not None
        counts = self.confusion.matrix[row]
        total = sum(counts)
        return 0 if not counts[column] else 1 + min(int(5 * counts[column] / total), 4)


class ImageResultPage(VersionPart, frozen=True, kw_only=True):
    """An image with its truth and predictions, and its neighbours in the gallery."""

    image: ImageResult
    row: ImageRow | None
    erased: str | None
    labels: dict[str, str]
    shown: GalleryRequest
    thresholds: list[str]
    before: str | None
    behind: str | None
    number: int | None
    count: int

    @property
    def back(self) -> str:
        return _query(self.shown, self.thresholds)


def _on_page(shown: GalleryRequest) -> GalleryRequest:
    """The form keeps its score to begin at when the order becomes that of the images."""
    ignored = shown.sort == "image"
    return msgspec.structs.replace(shown, from_score=None) if ignored else shown


class EvaluationPages(Controller):
    """Evaluations."""

    dependencies = GALLERY_REQUEST

    @get(
        "/versions/{version_id:str}/evaluation",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def evaluation(
        self,
        backend: Served,
        version_id: FromPath[str],
        shown: NamedDependency[GalleryRequest],
        threshold: Preview = None,
        key: FromQuery[str] = "",
        cursor: Cursor = None,
        before: FromQuery[str | None] = None,
        at_least: AtLeast = None,
    ) -> Template:
        around = surroundings(backend, version_id, at_least)
        try:
            evaluated = find_evaluated(backend, version_id, preview=threshold or ())
        except Conflict as reason:
            return not_evaluated(around, reason.detail, "evaluation")
        return render(
            "evaluation/evaluation.html",
            _page(evaluated, around, _on_page(shown), threshold, key, cursor, before),
        )

    @get(
        "/versions/{version_id:str}/evaluation/images/{image_id:str}",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def image(
        self,
        backend: Served,
        version_id: FromPath[str],
        image_id: FromPath[str],
        shown: NamedDependency[GalleryRequest],
        threshold: Preview = None,
        at_least: AtLeast = None,
    ) -> Template:
        around, shown = surroundings(backend, version_id, at_least), _on_page(shown)
        evaluated = find_evaluated(backend, version_id, preview=threshold or ())
        place = evaluated.place_of_image(image_id)
        matching = gallery_of(evaluated, shown)
        (image,) = judged(evaluated, [place], None, None)
        is_in = place in matching.after(None, matching.count)
        ids = evaluated.predictions.images.ids
        earlier, later = matching.before(place, 1), matching.after(place, 1)
        page = ImageResultPage(
            **msgspec.structs.asdict(around),
            api=f"/api/v1/versions/{version_id}/evaluation/images/{image_id}",
            image=image,
            row=find_rows(backend, [image_id]).get(image_id),
            erased=_erased(backend, image.image),
            labels=evaluated.labels,
            shown=shown,
            thresholds=threshold or [],
            before=ids[earlier[0]] if earlier else None,
            behind=ids[later[0]] if later else None,
            number=matching.index(place) + 1 if is_in else None,
            count=matching.count,
        )
        return render("evaluation/image.html", page)


def surroundings(backend: Backend, version_id: str, at_least: int | None) -> Surroundings:
    """The version with its model, view and project. Raises `NotFound`."""
    with backend.reading(at_least, *SHOWN) as (connection, position):
        return _surroundings(connection, version_id, position)


def _surroundings(connection: Connection, version_id: str, position: int) -> Surroundings:
    version = find_version(connection, version_id)
    if version is None:
        raise NotFound("version not found")
    project = find_project(connection, version.project_id)
    view = find_view(connection, version.view_id)
    model = find_model(connection, version.model_id)
    if project is None or view is None or model is None:
        raise NotYet("the read models are still catching up; reload in a moment")
    return Surroundings(position, project, view, model, version)


def not_evaluated(around: Surroundings, reason: str, what: str) -> Template:
    page = NotEvaluatedPage(
        **msgspec.structs.asdict(around),
        api=f"/api/v1/versions/{around.version.version_id}",
        reason=reason,
        failed=around.version.status == "failed",
        what=what,
    )
    return render("evaluation/not_evaluated.html", page)


def why_not_evaluated(backend: Backend, around: Surroundings) -> str | None:
    """The reason why a version has no predictions; None if it has."""
    with backend.reading(None, EVALUATIONS) as (connection, _):
        evaluation = find_evaluation(connection, around.version.version_id)
    try:
        check_is_evaluated(around.version, evaluation)
    except Conflict as reason:
        return reason.detail
    return None


def _page(
    evaluated: EvaluatedVersion,
    around: Surroundings,
    shown: GalleryRequest,
    thresholds: list[str] | None,
    key: str,
    cursor: str | None,
    before: str | None,
) -> EvaluationPage:
    matching = gallery_of(evaluated, shown)
    end = place_in(evaluated, before)
    if end is not None:
        places = matching.before(end, IMAGES_A_PAGE)
    else:
        places = matching.after(place_in(evaluated, cursor), IMAGES_A_PAGE)
    start = matching.index(places[0]) if places else 0
    images = judged(evaluated, places, shown.concept)
    is_classified = evaluated.predictions.kind == CLASSIFICATION
    too_large = is_classified and len(evaluated.predictions.concepts) > MATRIX_AT_MOST
    query = _query(shown, thresholds or [], key)
    return EvaluationPage(
        **msgspec.structs.asdict(around),
        api=f"/api/v1/versions/{evaluated.version.version_id}/evaluation",
        evaluation=evaluation_view(evaluated, shown.split),
        confusion=confusion_view(evaluated, shown.split)
        if is_classified and not too_large
        else None,
        too_large=too_large,
        shown=shown,
        thresholds=thresholds or [],
        tabs=_tabs(evaluated, shown),
        images=images,
        rows=find_rows(evaluated.backend, [image.image_id for image in images]),
        labels=evaluated.labels,
        slices=slices_view(evaluated, key or None, shown.split),
        calibration=calibration_view(evaluated, shown.split),
        count=matching.count,
        before=start,
        first=start == 0,
        previous=f"?{query}&before={places[0]}" if start else None,
        following=f"?{query}&cursor={places[-1]}"
        if places and start + len(places) < matching.count
        else None,
    )


def _tabs(evaluated: EvaluatedVersion, shown: GalleryRequest) -> list[tuple[str, str]]:
    """The filters and their labels; errors of a classification have two kinds per concept."""
    if evaluated.predictions.kind == CLASSIFICATION and shown.concept is None:
        keys: Iterable[str] = ("all", "misclassified")
    else:
        keys = ("all", "errors", "false_positives", "false_negatives")
    return [(key, SHOWN_IMAGES[key]) for key in keys]


def _query(
    shown: GalleryRequest, thresholds: list[str], slices: str = "", **others: str | None
) -> str:
    """The query string of the filters that restrict, of previewed thresholds, and of the key of
    slices."""
    defaults = msgspec.structs.asdict(GalleryRequest())
    values = msgspec.structs.asdict(shown) | others
    pairs = [(key, str(value)) for key, value in values.items() if value and value != defaults[key]]
    pairs += [("threshold", text) for text in thresholds]
    return urlencode([*pairs, *([("key", slices)] if slices else [])])


def _erased(backend: Backend, image_id: str) -> str | None:
    """A description of the image's erasure; None if it is not erased."""
    with backend.reading(None, ERASURES) as (connection, _):
        erasure = find_erasures(connection, [image_id]).get(image_id)
    return describe_erasure(erasure) if erasure else None


def find_rows(backend: Backend, keys: list[str]) -> dict[str, ImageRow]:
    """The images of items that are still in the project, by the items' keys."""
    with backend.reading(None, DATASET) as (connection, _):
        return by_key(keys, find_images(connection, {image_id_of(key) for key in keys}))
