"""The route of static files, and the page of notices about packages of others."""

from typing import Any

from litestar import Controller, Request, Response, get, route
from litestar.enums import HttpMethod
from litestar.params import FromPath
from litestar.response import Template

from api.access.rights import OPEN
from api.pages.assets import Notice, asset, folder, notices
from api.pages.html import Page, render
from domain.errors import NotFound

KEPT = "public, max-age=31536000, immutable"
ASKED_EACH_TIME = "no-cache"


class NoticesPage(Page, frozen=True, kw_only=True):
    notices: list[Notice]


class StaticFiles(Controller):
    """Static files."""

    include_in_schema = False
    opt = OPEN

    @route(
        "/static/{file_path:path}",
        http_method=[HttpMethod.GET, HttpMethod.HEAD],
        sync_to_thread=True,
    )
    def file(self, request: Request[Any, Any, Any], file_path: FromPath[str]) -> Response[bytes]:
        """A file below a digest of all of them, which is kept, or without it."""
        name = str(file_path).lstrip("/")
        kept = f"/static/{name}".startswith(f"{folder()}/")
        if name.startswith("v."):
            # During an upgrade, a page of the program before asks for the files of this one.
            name = name.partition("/")[2]
        found = asset(name)
        if found is None:
            raise NotFound("file not found")
        headers = {
            "Cache-Control": KEPT if kept else ASKED_EACH_TIME,
            "ETag": found.etag,
            "Vary": "Accept-Encoding",
        }
        if request.headers.get("If-None-Match") == found.etag:
            return Response(b"", status_code=304, headers=headers, media_type=found.media_type)
        accepted = request.headers.get("Accept-Encoding", "")
        encoding = next((one for one in ("zstd", "gzip") if one in accepted), "")
        if encoding:
            headers["Content-Encoding"] = encoding
        return Response(found.encoded[encoding], headers=headers, media_type=found.media_type)

    @get("/notices", sync_to_thread=True)
    def notices(self) -> Template:
        return render("operations/notices.html", NoticesPage(notices=notices()))
