"""The page of one image, where it can be erased."""

from litestar import Controller, get
from litestar.params import FromPath
from litestar.response import Template

from api.access.rights import needs
from api.backend import NotYet
from api.dataset.erasure import OF_IMAGES, image_there
from api.http.parameters import AtLeast, Served
from api.pages.html import Page, render
from domain.access.roles import Right
from projections.dataset.catalog import CATALOG, ProjectRow, find_project
from projections.dataset.queries import ImageRow


class ImagePage(Page, frozen=True, kw_only=True):
    """An image and its project."""

    project: ProjectRow
    image: ImageRow


class ImagePages(Controller):
    """Images."""

    @get("/images/{image_id:str}", sync_to_thread=True, opt=needs(Right.READ, of="image_id"))
    def image(self, backend: Served, image_id: FromPath[str], at_least: AtLeast = None) -> Template:
        with backend.reading(at_least, CATALOG, *OF_IMAGES) as (connection, position):
            image = image_there(connection, image_id)
            project = find_project(connection, image.project_id)
        if project is None:
            raise NotYet("the read models are still catching up; reload in a moment")
        page = ImagePage(
            position=position, api=f"/api/v1/images/{image_id}", project=project, image=image
        )
        return render("dataset/image.html", page)
