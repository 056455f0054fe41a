"""The page of all operations of the HTTP API."""

from functools import cache
from typing import Any

from litestar import Controller, Litestar, get
from litestar.response import Template

from api.access.rights import OPEN
from api.http.parameters import HttpRequest
from api.operations.reference import Operation, by_tag
from api.pages.html import Page, render


class ReferencePage(Page, frozen=True, kw_only=True):
    """The operations, by tag."""

    tags: dict[str, list[Operation]]

    @property
    def count(self) -> int:
        return sum(map(len, self.tags.values()))


class ReferencePages(Controller):
    """The reference. Public: it contains no data of the log."""

    include_in_schema = False

    @get("/reference", opt=OPEN, sync_to_thread=True)
    def reference(self, request: HttpRequest) -> Template:
        page = ReferencePage(api="/schema/openapi.json", tags=_tags(request.app))
        return render("operations/reference.html", page)


@cache
def _tags(app: Litestar) -> dict[str, list[Operation]]:
    document: dict[str, Any] = app.openapi_schema.to_schema()
    return by_tag(document)
