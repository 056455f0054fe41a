"""The Python package for download, so that it can be installed where there is no internet."""

from litestar import Controller, Response, get
from litestar.params import FromPath

from api.access.rights import OPEN
from api.operations.client_package import client_wheel
from domain.errors import NotFound

PAGE = "/client"


class ClientPages(Controller):
    """The Python package. Public: it contains no data."""

    include_in_schema = False

    @get(PAGE, opt=OPEN, sync_to_thread=True, media_type="text/html")
    def offer(self) -> str:
        """A page of links for pip: `pip install --find-links …/client stemma-client`."""
        name = client_wheel().name
        return (
            f"<!DOCTYPE html><html lang='en'><head><title>Python package</title></head><body>"
            f"<a href='{PAGE}/{name}'>{name}</a></body></html>\n"
        )

    @get(PAGE + "/{file:str}", opt=OPEN, sync_to_thread=True)
    def download(self, file: FromPath[str]) -> Response[bytes]:
        wheel = client_wheel()
        if file != wheel.name:
            raise NotFound(f"this server has the package {PAGE}/{wheel.name}")
        return Response(wheel.content, media_type="application/octet-stream")
