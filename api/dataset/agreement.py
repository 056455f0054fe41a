"""Routes of agreement: images annotated by two people, the second without seeing the annotations of
the first."""

from typing import Annotated

import msgspec
from litestar import Controller, Response, get, put
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from api.access.guard import demand
from api.access.rights import needs
from api.backend import Backend
from api.dataset.schemas import NewImageAnnotations
from api.http.commands import CommandResult, carry_out
from api.http.parameters import AtLeast, Cursor, HttpRequest, Limit, Served, position_in
from application.dataset.projects import annotate_blindly
from domain.access.roles import Right
from domain.aggregates import VIEW
from domain.dataset.agreement import Agreement, BoxAgreement, is_equal, measure
from domain.dataset.annotation import Annotation
from domain.dataset.image import AnnotateImage
from domain.errors import NotFound
from projections.dataset.agreement import AGREEMENT, Compared, compared, count_blind, images_for
from projections.dataset.catalog import CATALOG, ViewRow, find_view
from projections.dataset.child_items import parents_of
from projections.dataset.dataset import DATASET
from projections.dataset.queries import ImageRow, file_names

SHOWN = (CATALOG, DATASET, AGREEMENT)

MOST = 10_000
"""The most blind annotations of a view that are compared, the newest ones."""

Share = Annotated[
    float,
    QueryParameter(gt=0, le=1, description="Share of all images, the same ones for everybody"),
]


class AccountsAgreement(msgspec.Struct, frozen=True):
    """The agreement of two accounts; either may be the one who annotated first."""

    accounts: tuple[str, str]
    images: int
    equal: int
    kappa: float | None
    boxes: BoxAgreement | None


class AgreementView(msgspec.Struct, frozen=True):
    """`agreement` is over all pairs of annotations, `accounts` has it for each pair of accounts.

    `annotations` is the number of blind annotations; the newest 10,000 are compared.
    """

    kind: str
    agreement: Agreement
    accounts: list[AccountsAgreement]
    annotations: int
    position: int


class BlindAnnotation(msgspec.Struct, frozen=True):
    """An image's annotations by two accounts; the second did not see the first's."""

    image_id: str
    file_name: str
    first_by: str
    first: tuple[Annotation, ...]
    second_by: str
    second: tuple[Annotation, ...]
    equal: bool


class BlindAnnotations(msgspec.Struct, frozen=True):
    items: list[BlindAnnotation]
    next: str | None
    position: int


class BlindImages(msgspec.Struct, frozen=True):
    """Images to annotate blindly, without their annotations."""

    items: list[ImageRow]
    next: str | None
    position: int


class AgreementController(Controller):
    """Agreement between people who annotate."""

    tags = ("Agreement",)

    @put(
        "/images/{image_id:str}/blind-annotations/{view_id:str}",
        summary="Annotate an image blindly",
        sync_to_thread=True,
        opt=needs(Right.ANNOTATE, of="image_id"),
    )
    def annotate_image_blindly(
        self,
        backend: Served,
        request: HttpRequest,
        image_id: FromPath[str],
        view_id: FromPath[str],
        data: JSONBody[NewImageAnnotations],
    ) -> Response[CommandResult]:
        """Annotate an image without having seen its annotations, which stay.

        The two are compared. Later blind annotations replace your earlier ones; an empty list
        without `without_concept` withdraws them.
        """
        demand(backend, request.user, Right.ANNOTATE, VIEW.stream(view_id))
        command = AnnotateImage(view_id, tuple(data.annotations), data.without_concept)
        return carry_out(
            backend, request, data, lambda session: annotate_blindly(session, image_id, command)
        )

    @get(
        "/views/{view_id:str}/blind-images",
        summary="List images to annotate blindly",
        sync_to_thread=True,
        opt=needs(Right.ANNOTATE, of="view_id"),
    )
    def list_blind_images(
        self,
        backend: Served,
        request: HttpRequest,
        view_id: FromPath[str],
        share: Share = 1.0,
        cursor: Cursor = None,
        limit: Limit = 50,
        at_least: AtLeast = None,
    ) -> BlindImages:
        """Images that others annotated and you did not, in the order they were added, without
        their annotations. An image's `added_position` is a cursor, too."""
        items, position = blind_images(
            backend, view_id, request.user.actor, share, cursor, limit, at_least
        )
        following = str(items[-1].added_position) if len(items) == limit else None
        return BlindImages(items, following, position)

    @get(
        "/views/{view_id:str}/agreement",
        summary="Agreement of annotators",
        sync_to_thread=True,
        opt=needs(Right.READ, of="view_id"),
    )
    def get_agreement(
        self, backend: Served, view_id: FromPath[str], at_least: AtLeast = None
    ) -> AgreementView:
        """How far blind annotations agree with the recorded ones: Cohen's kappa, in total and per
        concept, and for boxes the share that both drew, at an IoU of 0.5."""
        return agreement_in(backend, view_id, at_least)

    @get(
        "/views/{view_id:str}/agreement/images",
        summary="List blind annotations",
        sync_to_thread=True,
        opt=needs(Right.READ, of="view_id"),
    )
    def list_blind_annotations(
        self,
        backend: Served,
        view_id: FromPath[str],
        differing: FromQuery[bool] = False,
        cursor: Cursor = None,
        limit: Limit = 50,
        at_least: AtLeast = None,
    ) -> BlindAnnotations:
        """Newest first; `differing` leaves out images that were annotated the same."""
        return blind_annotations(backend, view_id, differing, cursor, limit, at_least)


def blind_images(
    backend: Backend,
    view_id: str,
    account: str,
    share: float,
    cursor: str | None,
    limit: int,
    at_least: int | None,
) -> tuple[list[ImageRow], int]:
    """Images that an account may annotate blindly, and the position. Raises `NotFound`."""
    after = position_in(cursor)
    with backend.reading(at_least, *SHOWN) as (connection, position):
        view = _require(find_view(connection, view_id))
        parents = parents_of(connection, [view_id])[view_id]
        items = images_for(
            connection,
            view.project_id,
            view_id,
            account,
            share,
            parents=parents,
            after=after,
            limit=limit,
        )
    return items, position


def agreement_in(backend: Backend, view_id: str, at_least: int | None) -> AgreementView:
    """The agreement of all who annotated a view. Raises `NotFound`."""
    with backend.reading(at_least, *SHOWN) as (connection, position):
        view = _require(find_view(connection, view_id))
        found = compared(connection, view_id, limit=MOST)
        number = count_blind(connection, view_id)
    by_accounts: dict[tuple[str, str], list[Compared]] = {}
    for each in found:
        one, other = sorted((each.first_by, each.second_by))
        by_accounts.setdefault((one, other), []).append(each)
    accounts = []
    for names, theirs in sorted(by_accounts.items()):
        measured = _measured(view, theirs)
        accounts.append(
            AccountsAgreement(
                names, measured.images, measured.equal, measured.kappa, measured.boxes
            )
        )
    return AgreementView(view.kind, _measured(view, found), accounts, number, position)


def blind_annotations(
    backend: Backend,
    view_id: str,
    differing: bool,
    cursor: str | None,
    limit: int,
    at_least: int | None,
) -> BlindAnnotations:
    """A page of what was annotated blindly in a view. Raises `NotFound`."""
    with backend.reading(at_least, *SHOWN) as (connection, position):
        view = _require(find_view(connection, view_id))
        found = compared(connection, view_id, before=position_in(cursor), limit=MOST)
        chosen = [
            each for each in found if not (differing and is_equal(view.kind, each.annotations))
        ]
        items = chosen[:limit]
        names = file_names(connection, {each.image_id for each in items})
    last = items[-1] if len(chosen) > limit else found[-1] if len(found) == MOST else None
    following = None if last is None else str(last.position)
    shown = [_shown(view, each, names.get(each.image_id, "")) for each in items]
    return BlindAnnotations(shown, following, position)


def _measured(view: ViewRow, found: list[Compared]) -> Agreement:
    concepts = [concept.concept_id for concept in view.concepts]
    return measure(view.kind, concepts, [each.annotations for each in found], crops=view.crops)


def _shown(view: ViewRow, compared: Compared, file_name: str) -> BlindAnnotation:
    return BlindAnnotation(
        compared.image_id,
        file_name,
        compared.first_by,
        compared.annotations.first,
        compared.second_by,
        compared.annotations.second,
        is_equal(view.kind, compared.annotations),
    )


def _require(view: ViewRow | None) -> ViewRow:
    if view is None:
        raise NotFound("view not found")
    return view
