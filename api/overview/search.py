"""The search by name: a route of the API, and the page of its results."""

from typing import Annotated
from urllib.parse import quote

import msgspec
from litestar import Controller, get
from litestar.params import QueryParameter
from litestar.response import Redirect, Template

from api.access.rights import needs
from api.backend import Backend
from api.http.parameters import AtLeast, HttpRequest, Served
from api.pages.html import Page, render
from domain.access.roles import Right
from projections.dataset.catalog import CATALOG
from projections.overview.names import CONCEPT, PROJECT, VERSION, VIEW, NamedRow, find_by_name
from projections.training.models_library import MODELS_LIBRARY

MOST = 50
"""The most results of one search."""

Text = Annotated[
    str,
    QueryParameter(
        name="text",
        min_length=1,
        max_length=100,
        description="A part of the name, whatever its case, or the whole id",
    ),
]


class NamedItem(NamedRow, frozen=True):
    """A project, view, concept or version, and the address of its page.

    `project` and `view` are the names of what it is in, null for a project itself, and for a view.
    """

    page: str


class NamedItems(msgspec.Struct, frozen=True):
    """What a search found; `more` is whether it would have found more than its limit."""

    items: list[NamedItem]
    more: bool
    position: int


class SearchPage(Page, frozen=True, kw_only=True):
    text: str
    found: NamedItems


class SearchController(Controller):
    """The search."""

    tags = ("Search",)

    @get(
        "/search",
        summary="Projects, views, concepts and versions by name",
        sync_to_thread=True,
        opt=needs(Right.READ, anywhere=True),
    )
    def list_by_name(
        self,
        backend: Served,
        request: HttpRequest,
        text: Text,
        limit: Annotated[int, QueryParameter(ge=1, le=MOST)] = 20,
        at_least: AtLeast = None,
    ) -> NamedItems:
        """The same name comes first, then names that begin with the text, then those that contain
        it. Only what is in projects in which the caller has a role is found."""
        return _search(backend, request, text, limit, at_least)


class SearchPages(Controller):
    """The search."""

    @get("/search", sync_to_thread=True, opt=needs(Right.READ, anywhere=True))
    def search(
        self,
        backend: Served,
        request: HttpRequest,
        text: Annotated[str, QueryParameter(max_length=100)] = "",
        at_least: AtLeast = None,
    ) -> Template | Redirect:
        """The results as a page, or the page of the only one."""
        found = _search(backend, request, text, MOST, at_least)
        if len(found.items) == 1:
            return Redirect(found.items[0].page, status_code=303)
        page = SearchPage(
            position=found.position,
            api=f"/api/v1/search?text={quote(text)}",
            text=text,
            found=found,
        )
        return render("overview/search.html", page)


def _search(
    backend: Backend, request: HttpRequest, text: str, limit: int, at_least: int | None
) -> NamedItems:
    among = request.user.grants.projects(Right.READ)
    with backend.reading(at_least, CATALOG, MODELS_LIBRARY) as (connection, position):
        rows = find_by_name(connection, text, among=among, limit=limit + 1)
    items = [NamedItem(**msgspec.structs.asdict(row), page=_page_of(row)) for row in rows[:limit]]
    return NamedItems(items, len(rows) > limit, position)


def _page_of(row: NamedRow) -> str:
    return {
        PROJECT: f"/projects/{row.id}",
        VIEW: f"/views/{row.id}",
        CONCEPT: f"/projects/{row.project_id}/images?view={row.view_id}&concept={row.id}",
        VERSION: f"/versions/{row.id}",
    }[row.kind]
