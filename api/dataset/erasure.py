"""Routes of erasure, and queries of images that may be erased."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from litestar import Controller, Response, get, post
from litestar.params import FromPath, JSONBody
from sqlalchemy import Connection

from adapters.blobs.blobs import BlobMissing
from api.access.rights import needs
from api.dataset.schemas import Erasure, NewErasure
from api.http.commands import CommandResult, Named, named
from api.http.parameters import AtLeast, HttpRequest, Served
from application.dataset.erasure import erase_image, erased_among
from application.log.store import Store
from domain.access.roles import Right
from domain.aggregates import IMAGE
from domain.dataset.image import EraseImage
from domain.dataset.items import Parent
from domain.errors import Gone, NotFound
from domain.formatting import moment
from projections.dataset.dataset import DATASET
from projections.dataset.erasures import ERASURES, ErasureRow, find_erasures
from projections.dataset.queries import ImageRow, find_image


class ErasureController(Controller):
    """Erasure of images, which deletes their bytes."""

    tags = ("Images",)
    dependencies = named(IMAGE)

    @post(
        "/images/{image_id:str}/erase",
        summary="Erase an image",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.ADMINISTER, of="image_id"),
    )
    def erase_image(
        self, request: HttpRequest, image: Named, data: JSONBody[NewErasure]
    ) -> Response[CommandResult]:
        """Remove an image for good and delete its bytes. This is final.

        The reason stays in the log, so it must not hold personal data. Versions trained with the
        image stay, but cannot be trained again. If other projects have the same bytes, a 409 names
        them; `everywhere` erases the image there, too, if you administer them.
        """
        command = EraseImage(data.reason, data.everywhere)
        return image.carry_out(
            lambda session: erase_image(session, image.id, command, request.user.grants), data
        )

    @get(
        "/images/{image_id:str}/erasure",
        summary="An image's erasure",
        sync_to_thread=True,
        opt=needs(Right.READ, of="image_id"),
    )
    def get_erasure(
        self, backend: Served, image_id: FromPath[str], at_least: AtLeast = None
    ) -> Erasure:
        """Who erased an image and why; `gone_at` is the time when its bytes were verified as
        deleted."""
        with backend.reading(at_least, ERASURES) as (connection, position):
            erasure = find_erasures(connection, [image_id]).get(image_id)
        if erasure is None:
            raise NotFound("no erased image has this id")
        return Erasure(erasure, position)


OF_IMAGES = (DATASET, ERASURES)
"""The read models that `image_there` reads."""


def image_there(
    connection: Connection,
    image_id: str,
    *,
    view_id: str | None = None,
    parents: Sequence[Parent] = (),
    as_of: int | None = None,
) -> ImageRow:
    """The image. Raises `NotFound`, or `Gone` with a description of its erasure."""
    image = find_image(connection, image_id, view_id=view_id, parents=parents, as_of=as_of)
    if image is not None:
        return image
    erasure = find_erasures(connection, [image_id]).get(image_id)
    if erasure is None:
        raise NotFound("image not found")
    raise Gone(describe_erasure(erasure))


@contextmanager
def unless_erased(store: Store, digest: str) -> Iterator[None]:
    """Raise `Gone` instead of `BlobMissing` if the bytes are erased and the read model lags
    behind."""
    try:
        yield
    except BlobMissing:
        blob = erased_among(store, [digest]).get(digest)
        if blob is None:
            raise
        raise Gone(f"the image was erased (reason: {blob.reason})") from None


def describe_erasure(erasure: ErasureRow) -> str:
    """A sentence that describes an erasure."""
    if erasure.gone_at is None:
        bytes_are = "its bytes are being deleted"
    else:
        bytes_are = f"its bytes were deleted at {moment(erasure.gone_at)}"
    return (
        f"the image was erased by {erasure.erased_by} at {moment(erasure.erased_at)} (reason:"
        f" {erasure.reason}); {bytes_are}"
    )
