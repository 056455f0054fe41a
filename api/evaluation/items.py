"""The route of small pictures of a version's items: images, or crops of them."""

import asyncio

import msgspec
from litestar import Controller, Response, get
from litestar.params import FromPath, FromQuery

from api.access.rights import needs
from api.backend import Backend
from api.dataset.images import thumbnail
from api.dataset.thumbnails import MEDIA_TYPE, Size
from api.http.parameters import HttpRequest, Served
from domain.access.roles import Right
from domain.dataset.items import image_id_of
from domain.errors import NotFound
from domain.training.messages import Sides
from projections.training.library_queries import find_version
from projections.training.models_library import MODELS_LIBRARY


class ItemController(Controller):
    """Items of a version's dataset."""

    tags = ("Evaluation",)

    @get(
        "/versions/{version_id:str}/items/{key:str}/thumbnail",
        summary="A thumbnail of an item",
        media_type=MEDIA_TYPE,
        opt=needs(Right.READ, of="version_id"),
    )
    async def get_item_thumbnail(
        self,
        backend: Served,
        request: HttpRequest,
        version_id: FromPath[str],
        key: FromPath[str],
        size: FromQuery[Size] = 256,
    ) -> Response[bytes]:
        """WebP of an image, or of a crop as the version was trained on it, without its margin.

        `key` is the `image_id` of evaluations and flip books: the id of an image, or of the image
        of a crop with `:` and the crop's number.
        """
        crop = await asyncio.to_thread(_crop, backend, version_id, key)
        return await thumbnail(backend, request, image_id_of(key), size, crop)


def _crop(backend: Backend, version_id: str, key: str) -> Sides | None:
    """Where a crop of the version is; None for an image. Raises `NotFound`."""
    with backend.reading(None, MODELS_LIBRARY) as (connection, _):
        version = find_version(connection, version_id)
    if version is None:
        raise NotFound("version not found")
    if not version.options.crops or version.manifest is None:
        return None
    box = backend.crops.of(version.manifest).get(key)
    if box is None:
        raise NotFound("item not found in the version")
    return msgspec.structs.astuple(box)
