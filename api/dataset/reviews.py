"""Routes of reviews: an image's annotations in a view, found right by somebody."""

from litestar import Controller, Response, delete, put
from litestar.params import FromPath

from api.access.guard import demand
from api.access.rights import needs
from api.backend import Backend
from api.http.commands import CommandResult, carry_out
from api.http.parameters import HttpRequest, Served
from application.dataset.projects import review_image
from domain.access.roles import Right
from domain.aggregates import VIEW
from domain.dataset.image import ReviewImage, WithdrawReview


class ReviewController(Controller):
    """Reviews of annotations."""

    path = "/images/{image_id:str}/reviews/{view_id:str}"
    tags = ("Images",)

    @put(
        summary="Mark annotations as reviewed",
        sync_to_thread=True,
        opt=needs(Right.ANNOTATE, of="image_id"),
    )
    def review_image(
        self,
        backend: Served,
        request: HttpRequest,
        image_id: FromPath[str],
        view_id: FromPath[str],
    ) -> Response[CommandResult]:
        """Record that the image's annotations in a view were reviewed and are right.

        Changing them ends the review. Send the image's `ETag` as `If-Match`: a 412 then means that
        they have changed since you read them. The event has their revision.
        """
        return _carry_out(backend, request, image_id, ReviewImage(view_id))

    @delete(
        summary="Withdraw a review",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.ANNOTATE, of="image_id"),
    )
    def withdraw_review(
        self,
        backend: Served,
        request: HttpRequest,
        image_id: FromPath[str],
        view_id: FromPath[str],
    ) -> Response[CommandResult]:
        return _carry_out(backend, request, image_id, WithdrawReview(view_id))


def _carry_out(
    backend: Backend, request: HttpRequest, image_id: str, command: ReviewImage | WithdrawReview
) -> Response[CommandResult]:
    demand(backend, request.user, Right.ANNOTATE, VIEW.stream(command.view_id))
    return carry_out(
        backend, request, None, lambda session: review_image(session, image_id, command)
    )
