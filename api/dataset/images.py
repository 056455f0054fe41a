"""Routes of images: upload, read, annotate, assign to a split, remove."""

import asyncio
from dataclasses import dataclass
from typing import Annotated

from litestar import Controller, Response, delete, get, post, put
from litestar.datastructures import UploadFile
from litestar.enums import RequestEncodingType
from litestar.params import Body, FromPath, FromQuery, JSONBody

from adapters.blobs.blobs import PICTURE
from adapters.dataset.thumbnails import recipe
from adapters.images.file_format import media_type
from api.access.guard import demand
from api.access.rights import needs
from api.backend import Backend
from api.dataset.erasure import OF_IMAGES, image_there, unless_erased
from api.dataset.groups import members_in
from api.dataset.image_uploads import add_uploads
from api.dataset.schemas import ImageSplit, ImageView, NewAnnotations, NewImageAnnotations
from api.dataset.thumbnails import LARGEST, MEDIA_TYPE, Crop, Size, crop_of, cut, made_small
from api.http.commands import CommandResult, Named, carry_out, named
from api.http.parameters import AsOf, AtLeast, HttpRequest, Served
from application.dataset.dataset import grey_bits_of
from application.dataset.groups import assign_split
from application.dataset.projects import annotate_images
from application.log.store import END
from domain.access.roles import Right
from domain.aggregates import IMAGE, VIEW
from domain.dataset.image import AnnotateImage, AssignSplit, RemoveImage
from domain.training.messages import Sides
from projections.dataset.catalog import CATALOG
from projections.dataset.child_items import parents_of
from projections.dataset.queries import ImageRow
from projections.flip_book.suspects import SUSPECTS, decisions_of

MAX_UPLOAD_REQUEST = 2_000_000_000


@dataclass
class Upload:
    """Form data with one or more files, each named `files`."""

    files: list[UploadFile]


class ImageController(Controller):
    """Images and their annotations in each view."""

    tags = ("Images",)
    dependencies = named(IMAGE, VIEW)

    @post(
        "/projects/{project_id:str}/images",
        summary="Upload images",
        request_max_body_size=MAX_UPLOAD_REQUEST,
        opt=needs(Right.ANNOTATE, of="project_id"),
    )
    async def upload_images(
        self,
        backend: Served,
        request: HttpRequest,
        project_id: FromPath[str],
        data: Annotated[Upload, Body(media_type=RequestEncodingType.MULTI_PART)],
    ) -> Response[CommandResult]:
        """Add one or more images: all of them, or none if one is refused.

        An image whose content the project already has is unchanged. The answer's `ids` are those of
        the images, in the order of the files.
        """
        return await add_uploads(backend, request, project_id, data.files)

    @get(
        "/images/{image_id:str}",
        summary="An image",
        sync_to_thread=True,
        opt=needs(Right.READ, of="image_id"),
    )
    def get_image(
        self,
        backend: Served,
        image_id: FromPath[str],
        view_id: FromQuery[str | None] = None,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> Response[ImageView]:
        return image_view(backend, image_id, view_id=view_id, at_least=at_least, as_of=as_of)

    @get(
        "/images/{image_id:str}/content",
        summary="An image's bytes",
        media_type="application/octet-stream",
        sync_to_thread=True,
        opt=needs(Right.READ, of="image_id"),
    )
    def get_image_content(
        self,
        backend: Served,
        request: HttpRequest,
        image_id: FromPath[str],
        as_of: AsOf = None,
    ) -> Response[bytes]:
        with backend.reading_as_of(as_of, None, *OF_IMAGES) as (connection, _, at):
            image = image_there(connection, image_id, as_of=at)
        headers = _headers(image.blob)
        if _is_known(request, headers):
            return Response(b"", status_code=304, headers=headers)
        data = _original(backend, image.blob)
        return Response(data, media_type=media_type(data), headers=headers)

    @get(
        "/images/{image_id:str}/picture",
        summary="An image as training reads it",
        media_type=MEDIA_TYPE,
        opt=needs(Right.READ, of="image_id"),
    )
    async def get_image_picture(
        self,
        backend: Served,
        request: HttpRequest,
        image_id: FromPath[str],
        as_of: AsOf = None,
    ) -> Response[bytes]:
        """The pixels that a training gets before it resizes them.

        The file itself if browsers show it the same way, otherwise lossless WebP whose longest side
        has at most 2,048 pixels.
        """
        image, grey_bits = await asyncio.to_thread(_image_and_depth, backend, image_id, as_of)
        headers = _headers(f"{image.blob}-picture-{recipe(grey_bits)}")
        if _is_known(request, headers):
            return Response(b"", status_code=304, headers=headers)
        made = await made_small(backend, image.blob, PICTURE, grey_bits)
        if made:
            return Response(made, media_type=MEDIA_TYPE, headers=headers)
        data = await asyncio.to_thread(_original, backend, image.blob)
        return Response(data, media_type=media_type(data), headers=headers)

    @get(
        "/images/{image_id:str}/thumbnail",
        summary="A thumbnail of an image",
        media_type=MEDIA_TYPE,
        opt=needs(Right.READ, of="image_id"),
    )
    async def get_thumbnail(
        self,
        backend: Served,
        request: HttpRequest,
        image_id: FromPath[str],
        size: FromQuery[Size] = 256,
        crop: Crop = None,
        as_of: AsOf = None,
    ) -> Response[bytes]:
        """The image as training reads it, as WebP whose longest side has at most `size` pixels;
        made once and stored. A `crop` is cut from a larger one."""
        box = None if crop is None else crop_of(crop)
        return await thumbnail(backend, request, image_id, size, box, as_of)

    @put(
        "/images/{image_id:str}/split",
        summary="Assign an image to a split",
        sync_to_thread=True,
        opt=needs(Right.ANNOTATE, of="image_id"),
    )
    def assign_split(
        self, backend: Served, image: Named, data: JSONBody[ImageSplit]
    ) -> Response[CommandResult]:
        """The whole group of the image moves with it: `ids` are the images that moved."""
        members = members_in(backend)
        return image.carry_out(
            lambda session: assign_split(session, image.id, AssignSplit(data.split), members), data
        )

    @delete(
        "/images/{image_id:str}",
        summary="Remove an image",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.ANNOTATE, of="image_id", only_appends=True),
    )
    def remove_image(self, image: Named) -> Response[CommandResult]:
        """Remove the image from the project; versions that were trained with it keep it."""
        return image.change(RemoveImage())

    @post(
        "/views/{view_id:str}/annotations",
        summary="Annotate images",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.ANNOTATE, of="view_id", only_appends=True),
    )
    def annotate_images(
        self, backend: Served, request: HttpRequest, view: Named, data: JSONBody[NewAnnotations]
    ) -> Response[CommandResult]:
        """Annotate images of a view: all of them, or none if one is refused."""
        streams = [IMAGE.stream(image.image_id) for image in data.images]
        demand(backend, request.user, Right.ANNOTATE, *streams, field="image_id")
        annotations = [
            (
                image.image_id,
                AnnotateImage(view.id, tuple(image.annotations), image.without_concept),
            )
            for image in data.images
        ]
        return view.carry_out(lambda session: annotate_images(session, annotations), data)

    @put(
        "/images/{image_id:str}/annotations/{view_id:str}",
        summary="Annotate an image",
        sync_to_thread=True,
        opt=needs(Right.ANNOTATE, of="image_id", only_appends=True),
    )
    def annotate_image(
        self,
        backend: Served,
        request: HttpRequest,
        image_id: FromPath[str],
        view_id: FromPath[str],
        data: JSONBody[NewImageAnnotations],
    ) -> Response[CommandResult]:
        """Annotate an image in a view.

        Send the image's `ETag` as `If-Match`: a 412 then protects annotations that another user
        made in the meantime.
        """
        demand(backend, request.user, Right.ANNOTATE, VIEW.stream(view_id))
        command = AnnotateImage(view_id, tuple(data.annotations), data.without_concept)
        return carry_out(
            backend,
            request,
            data,
            lambda session: annotate_images(session, [(image_id, command)]),
        )


async def thumbnail(
    backend: Backend,
    request: HttpRequest,
    image_id: str,
    size: Size,
    crop: Sides | None,
    as_of: str | None = None,
) -> Response[bytes]:
    """An image, or a crop of it, made small."""
    image, grey_bits = await asyncio.to_thread(_image_and_depth, backend, image_id, as_of)
    of_crop = "" if crop is None else "-".join(map(str, crop))
    headers = _headers(f"{image.blob}-{size}-{recipe(grey_bits)}{of_crop}")
    if _is_known(request, headers):
        return Response(b"", status_code=304, headers=headers)
    data = await made_small(backend, image.blob, LARGEST if crop else size, grey_bits)
    if crop is not None:
        data = await asyncio.to_thread(cut, data, crop, size)
    return Response(data, media_type=MEDIA_TYPE, headers=headers)


def image_view(
    backend: Backend, image_id: str, *, view_id: str | None, at_least: int | None, as_of: str | None
) -> Response[ImageView]:
    """An image with the decisions about it; its annotations are those in a view."""
    shown = (*OF_IMAGES, SUSPECTS, CATALOG)
    with backend.reading_as_of(as_of, at_least, *shown) as (connection, position, at):
        above = parents_of(connection, [view_id], as_of=at)[view_id] if view_id else ()
        image = image_there(connection, image_id, view_id=view_id, parents=above, as_of=at)
        decisions = decisions_of(connection, [image_id], view_id, upto=at).get(image_id, [])
    view = ImageView(image, decisions, position)
    return Response(view, headers={"ETag": f'"{image.revision}"'})


def _image_and_depth(
    backend: Backend, image_id: str, as_of: str | None
) -> tuple[ImageRow, int | None]:
    """The image, and the bits of its project's 16-bit grey, both as of a position."""
    with backend.reading_as_of(as_of, None, *OF_IMAGES) as (connection, _, at):
        image = image_there(connection, image_id, as_of=at)
    return image, grey_bits_of(backend.store, image.project_id, upto=END if at is None else at)


def _original(backend: Backend, digest: str) -> bytes:
    with unless_erased(backend.store, digest):
        return backend.blobs.get(digest)


def _headers(etag: str) -> dict[str, str]:
    """Headers of an image: browsers must revalidate it, because it may be erased."""
    return {
        "Cache-Control": "private, no-cache",
        "ETag": f'"{etag}"',
        "X-Content-Type-Options": "nosniff",
    }


def _is_known(request: HttpRequest, headers: dict[str, str]) -> bool:
    return request.headers.get("If-None-Match") == headers["ETag"]
