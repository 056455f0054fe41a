"""Routes of suggestions: annotations that a version proposes for a view's images without any."""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from litestar import Controller, Response, get, post, put
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta

from adapters.blobs.blobs import BlobMissing
from adapters.evaluation.suggestions import (
    Suggestion,
    in_order,
    load_suggestions,
)
from api.access.guard import demand
from api.access.rights import needs
from api.backend import Backend
from api.dataset.schemas import NewImageAnnotations
from api.http.commands import CommandResult, carry_out
from api.http.parameters import AtLeast, HttpRequest, Limit, Served
from api.http.schemas import Strict
from application.handle import Decided, Session
from application.training.suggestions import decide_suggestions, request_suggestions
from domain.access.roles import Right
from domain.aggregates import IMAGE
from domain.dataset.image import AnnotateImage, Image
from domain.dataset.suggestions import AcceptSuggestion, RejectSuggestion
from domain.errors import Conflict, Gone, Invalid, NotFound
from domain.library.view import CLASSIFICATION
from domain.training.version import default_threshold
from projections.dataset.catalog import CATALOG, find_view
from projections.dataset.dataset import DATASET
from projections.dataset.queries import unannotated_among
from projections.training.evaluations import EVALUATIONS, find_evaluation
from projections.training.library_queries import find_version
from projections.training.models_library import MODELS_LIBRARY
from projections.training.suggestions import (
    SUGGESTIONS,
    Outcomes,
    SuggestionsRequest,
    newest_request,
    outcomes_of,
    rejected_images,
)

_READ = (CATALOG, DATASET, MODELS_LIBRARY, EVALUATIONS, SUGGESTIONS)
_AT_ONCE = 1_000
"""The most suggestions that one command decides about."""

By = Literal["entropy", "margin"]
ImageIds = Annotated[list[str], Meta(max_length=_AT_ONCE)]


class NewSuggestions(Strict, frozen=True, kw_only=True):
    """The version that makes the suggestions: a ready version of the view."""

    version_id: str


class AcceptedSuggestions(Strict, frozen=True, kw_only=True):
    """Images whose suggestions are accepted as they are; or all open ones with a score of at least
    `least_score`, the most certain first, at most 1,000 per request."""

    image_ids: ImageIds = msgspec.field(default_factory=list)
    least_score: Annotated[float, Meta(ge=0, le=1)] | None = None


class RejectedSuggestions(Strict, frozen=True, kw_only=True):
    image_ids: ImageIds


class SuggestionView(msgspec.Struct, frozen=True):
    """What a version suggests for an image: `suggestion` is null where nothing is open for it."""

    version_id: str | None
    suggestion: Suggestion | None
    position: int


class SuggestionsView(msgspec.Struct, frozen=True):
    """The open suggestions of the newest request, in the order of review.

    A suggestion is open if its image is not annotated and it was not rejected; `count` is their
    number. `outcomes` are those of the version's suggestions in this view.
    """

    request: SuggestionsRequest | None
    items: list[Suggestion]
    count: int
    outcomes: Outcomes | None
    position: int


class _Open(msgspec.Struct, frozen=True):
    """The newest request of a view with what is open of it, in the order of the file."""

    request: SuggestionsRequest | None
    suggestions: list[Suggestion]
    outcomes: Outcomes | None
    kind: str
    position: int

    def find(self, image_id: str) -> Suggestion | None:
        return next((each for each in self.suggestions if each.image_id == image_id), None)

    def require(self, image_ids: Sequence[str]) -> list[Suggestion]:
        """The suggestions for these images. Raises `Conflict` where one is not open."""
        by_image = {each.image_id: each for each in self.suggestions}
        for image_id in image_ids:
            if image_id not in by_image:
                raise Conflict(
                    f"no suggestion is open for image {image_id!r}: it is decided, or there was"
                    " none",
                    field="image_id",
                )
        return [by_image[image_id] for image_id in image_ids]

    def sure(self, least_score: float) -> list[Suggestion]:
        """Those of this score or more, the surest first. Raises `Conflict` without any."""
        usable = [one for one in self.suggestions if one.annotations or self.kind != CLASSIFICATION]
        chosen = [one for one in usable if one.score >= least_score]
        if not chosen:
            raise Conflict(
                "no open suggestion has this score; choose a lower one", field="least_score"
            )
        return sorted(chosen, key=lambda one: -one.score)[:_AT_ONCE]

    def accepting(
        self, view_id: str, suggestion: Suggestion, annotations: AnnotateImage | None = None
    ) -> AcceptSuggestion:
        """The command that accepts a suggestion, or other annotations in its place."""
        assert self.request is not None
        found = tuple(each.annotation for each in suggestion.annotations)
        without = not found and self.kind != CLASSIFICATION
        suggested = AnnotateImage(view_id, found, without)
        return AcceptSuggestion(self.request.version_id, annotations or suggested, suggested)


class SuggestionController(Controller):
    """Suggested annotations, which people accept, change or reject."""

    path = "/views/{view_id:str}/suggestions"
    tags = ("Suggestions",)

    @post(
        summary="Request suggestions",
        sync_to_thread=True,
        opt=needs(Right.TRAIN, of="view_id"),
    )
    def request_suggestions(
        self,
        backend: Served,
        request: HttpRequest,
        view_id: FromPath[str],
        data: JSONBody[NewSuggestions],
    ) -> Response[CommandResult]:
        """Predict all unannotated images of the view with one of its versions, on a worker.

        Images of the test set are left out.
        """
        return carry_out(
            backend,
            request,
            data,
            lambda session: request_suggestions(session, view_id, data.version_id),
            status_code=201,
        )

    @get(
        summary="Open suggestions",
        sync_to_thread=True,
        opt=needs(Right.READ, of="view_id"),
    )
    def list_suggestions(
        self,
        backend: Served,
        view_id: FromPath[str],
        by: FromQuery[By] = "entropy",
        random_share: Annotated[
            float,
            QueryParameter(ge=0, le=1, description="Share that the seed draws at random"),
        ] = 0.1,
        seed: FromQuery[int] = 0,
        limit: Limit = 50,
        at_least: AtLeast = None,
    ) -> SuggestionsView:
        """The least certain first: by entropy or margin of the scores; for boxes by their mean
        score."""
        found = find_open(backend, view_id, at_least)
        items = in_order(found.suggestions, by, random_share, seed)
        return SuggestionsView(
            found.request, items[:limit], len(items), found.outcomes, found.position
        )

    @get(
        "/{image_id:str}",
        summary="The suggestion for an image",
        sync_to_thread=True,
        opt=needs(Right.READ, of="view_id"),
    )
    def get_suggestion(
        self,
        backend: Served,
        view_id: FromPath[str],
        image_id: FromPath[str],
        at_least: AtLeast = None,
    ) -> SuggestionView:
        found = find_open(backend, view_id, at_least)
        version_id = found.request.version_id if found.request else None
        return SuggestionView(version_id, found.find(image_id), found.position)

    @put(
        "/{image_id:str}/annotations",
        summary="Annotate an image by its suggestion",
        sync_to_thread=True,
        opt=needs(Right.ANNOTATE, of="view_id"),
    )
    def annotate_by_suggestion(
        self,
        backend: Served,
        request: HttpRequest,
        view_id: FromPath[str],
        image_id: FromPath[str],
        data: JSONBody[NewImageAnnotations],
    ) -> Response[CommandResult]:
        """Annotate an image by its suggestion, changed or not.

        An event says which version proposed it, and whether it was changed before it was accepted.
        """
        demand(backend, request.user, Right.ANNOTATE, IMAGE.stream(image_id))
        found = find_open(backend, view_id)
        annotations = AnnotateImage(view_id, tuple(data.annotations), data.without_concept)

        def decide(session: Session) -> Decided[Image]:
            [suggestion] = found.require([image_id])
            command = found.accepting(view_id, suggestion, annotations)
            return decide_suggestions(session, view_id, [(image_id, command)])

        return carry_out(backend, request, data, decide)

    @post(
        "/accept",
        summary="Accept suggestions",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.ANNOTATE, of="view_id"),
    )
    def accept_suggestions(
        self,
        backend: Served,
        request: HttpRequest,
        view_id: FromPath[str],
        data: JSONBody[AcceptedSuggestions],
    ) -> Response[CommandResult]:
        """Annotate images as suggested: all of them, or none if one is refused.

        A classification suggests nothing for an image whose highest score is below its threshold;
        such an image is not accepted in bulk.
        """
        found = find_open(backend, view_id)
        if data.image_ids and data.least_score is not None:
            raise Invalid("give either image_ids or least_score", field="least_score")

        def decide(session: Session) -> Decided[Image]:
            chosen = found.require(data.image_ids)
            if data.least_score is not None:
                chosen = found.sure(data.least_score)
            commands = [(each.image_id, found.accepting(view_id, each)) for each in chosen]
            return decide_suggestions(session, view_id, commands)

        return carry_out(backend, request, data, decide)

    @post(
        "/reject",
        summary="Reject suggestions",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.ANNOTATE, of="view_id"),
    )
    def reject_suggestions(
        self,
        backend: Served,
        request: HttpRequest,
        view_id: FromPath[str],
        data: JSONBody[RejectedSuggestions],
    ) -> Response[CommandResult]:
        """The images stay unannotated, and these suggestions are no longer shown."""
        found = find_open(backend, view_id)
        version_id = found.request.version_id if found.request else ""

        def decide(session: Session) -> Decided[Image]:
            commands = [
                (each.image_id, RejectSuggestion(view_id, version_id))
                for each in found.require(data.image_ids)
            ]
            return decide_suggestions(session, view_id, commands)

        return carry_out(backend, request, data, decide)


def find_open(backend: Backend, view_id: str, at_least: int | None = None) -> _Open:
    """The newest request of a view, and what is open of it. Raises `NotFound` or `Gone`."""
    with backend.reading(at_least, *_READ) as (connection, position):
        view = find_view(connection, view_id)
        if view is None:
            raise NotFound("view not found")
        newest = newest_request(connection, view_id)
        if newest is None:
            return _Open(None, [], None, view.kind, position)
        outcomes = outcomes_of(connection, view_id, newest.version_id)
        if newest.predictions is None:
            return _Open(newest, [], outcomes, view.kind, position)
        version = find_version(connection, newest.version_id)
        evaluation = find_evaluation(connection, newest.version_id)
        rejected = rejected_images(connection, view_id, newest.version_id)
        assert version is not None
        default = default_threshold(view.kind)
        thresholds = [
            evaluation.thresholds.get(concept.concept_id, default) if evaluation else default
            for concept in version.concepts
        ]
        try:
            found = load_suggestions(backend.blobs, newest.predictions, tuple(thresholds))
        except BlobMissing as error:
            raise Gone(
                f"the suggestions are no longer stored ({error}); request them again"
            ) from error
        there = unannotated_among(connection, view_id, {each.image_id for each in found})
    current = {concept.concept_id for concept in view.concepts}
    undecided = there - rejected
    usable = [
        each
        for each in found
        if each.image_id in undecided
        and all(one.annotation.concept_id in current for one in each.annotations)
    ]
    return _Open(newest, usable, outcomes, view.kind, position)
