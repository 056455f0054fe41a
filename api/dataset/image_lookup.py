"""The route that finds an image by its file."""

from typing import Annotated

from litestar import Controller, Response, get
from litestar.params import FromPath, FromQuery, PathParameter

from api.access.rights import needs
from api.dataset.images import image_view
from api.dataset.schemas import ImageView
from api.http.parameters import AsOf, AtLeast, Served
from domain.access.roles import Right
from domain.dataset.image import image_id

Digest = Annotated[
    str, PathParameter(pattern="^[0-9a-f]{64}$", description="The sha256 of the file")
]


class ImageLookupController(Controller):
    """An image of a project, by its content."""

    tags = ("Images",)

    @get(
        "/projects/{project_id:str}/images/by-digest/{digest:str}",
        summary="The image with a file's content",
        sync_to_thread=True,
        opt=needs(Right.READ, of="project_id"),
    )
    def get_image_by_digest(
        self,
        backend: Served,
        project_id: FromPath[str],
        digest: Digest,
        view_id: FromQuery[str | None] = None,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> Response[ImageView]:
        """The same answer as `GET /images/{id}`: a project stores the same content once, under any
        file name."""
        found = image_id(project_id, digest)
        return image_view(backend, found, view_id=view_id, at_least=at_least, as_of=as_of)
