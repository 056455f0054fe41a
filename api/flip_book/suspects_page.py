"""The page of a version's suspects, where each is upheld, corrected or left unsure."""

from typing import Annotated
from urllib.parse import urlencode

import msgspec
from litestar import Controller, get
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Template

from api.access.rights import needs
from api.backend import NotYet
from api.dataset.erasure import OF_IMAGES
from api.flip_book.messages import STATE_NAMES
from api.flip_book.suspect_list import STATES, find_suspects
from api.flip_book.suspect_views import State, StateCounts, SuspectView, suspect_view
from api.http.parameters import AsOf, AtLeast, Cursor, HttpRequest, Served, position_in
from api.pages.html import Page, render
from api.pages.past import Moment, at_position, moment_of
from domain.access.roles import Right
from domain.errors import Conflict, Gone, NotFound
from projections.dataset.catalog import CATALOG, ProjectRow, ViewRow, find_project, find_view
from projections.dataset.queries import file_names
from projections.training.library_queries import VersionRow, find_version
from projections.training.models_library import MODELS_LIBRARY

SUSPECTS_A_PAGE = 30
SHOWN = (CATALOG, MODELS_LIBRARY, *OF_IMAGES)
"""The read models of the page besides those of the list."""


class SuspectsPage(Page, frozen=True, kw_only=True):
    """A page of suspects in a state; `reason` says why there can be none."""

    moment: Moment
    project: ProjectRow
    view: ViewRow
    version: VersionRow
    decides: bool
    reason: str
    items: list[SuspectView]
    count: int
    counts: StateCounts
    complete: bool
    notes: list[str]
    state: str
    split: str
    concept: str
    start: int
    following: str | None
    words: dict[str, str]

    @property
    def kept(self) -> dict[str, str]:
        """What the address of this page says besides the moment."""
        query = {"state": self.state, "split": self.split, "concept": self.concept}
        query["cursor"] = str(self.start or "")
        return {key: value for key, value in query.items() if value and value != "open"}

    def address(self, **others: str | None) -> str:
        """This page with other filters, from the start unless a cursor is given."""
        query = {
            key: value for key, value in (self.kept | {"cursor": ""} | others).items() if value
        }
        return self.moment.of(f"?{urlencode(query)}")

    def correct(self, place: int) -> str:
        """The annotator on a suspect's image, with the way back to the suspect that follows."""
        item = self.items[place]
        others = [*self.items[place + 1 :], *reversed(self.items[:place])]
        at = f"/versions/{self.version.version_id}/suspects"
        anchor = f"#suspect-{others[0].item}" if others else ""
        query = {
            "image": item.image_id,
            "version": self.version.version_id,
            "suspect": item.item,
            "back": f"{at}{f'?{urlencode(self.kept)}' if self.kept else ''}{anchor}",
        }
        return f"/views/{self.view.view_id}/annotate?{urlencode(query)}"


class SuspectPages(Controller):
    """Suspects."""

    @get(
        "/versions/{version_id:str}/suspects",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def suspects(
        self,
        backend: Served,
        request: HttpRequest,
        version_id: FromPath[str],
        shown: Annotated[State, QueryParameter(name="state")] = "open",
        split: Annotated[str, QueryParameter(pattern="^(train|validation|)$")] = "",
        concept: FromQuery[str] = "",
        cursor: Cursor = None,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> Template:
        with backend.reading_as_of(as_of, at_least, *SHOWN) as (connection, position, at):
            version = find_version(connection, version_id, as_of=at)
            if version is None:
                raise NotFound(f"version not found{at_position(at)}")
            project = find_project(connection, version.project_id, as_of=at)
            view = find_view(connection, version.view_id, as_of=at)
            moment = moment_of(backend, connection, at, SHOWN)
        if project is None or view is None:
            raise NotYet("the read models are still catching up; reload in a moment")
        empty = SuspectsPage(
            position=position,
            api=moment.of(f"/api/v1/versions/{version_id}/suspects"),
            moment=moment,
            project=project,
            view=view,
            version=version,
            decides=not moment.past and request.user.grants.may(Right.ANNOTATE, project.project_id),
            reason="",
            items=[],
            count=0,
            counts=StateCounts(**dict.fromkeys(STATES, 0)),
            complete=True,
            notes=[],
            state=shown,
            split=split,
            concept=concept,
            start=position_in(cursor) or 0,
            following=None,
            words=STATE_NAMES,
        )
        return render("flip_book/suspects.html", _filled(backend, empty, at_least, as_of))


def _filled(
    backend: Served, page: SuspectsPage, at_least: int | None, as_of: str | None
) -> SuspectsPage:
    version_id = page.version.version_id
    try:
        suspects = find_suspects(backend, version_id, at_least=at_least, as_of=as_of)
    except (Conflict, Gone) as refusal:
        return msgspec.structs.replace(page, reason=refusal.detail)
    chosen = [
        each
        for each in suspects.suspects
        if page.state == each.state
        and page.split in {"", each.suspect.split}
        and page.concept in {"", each.suspect.label.concept_id}
    ]
    # The last page may have become empty by what was decided on it.
    last = max(len(chosen) - 1, 0) // SUSPECTS_A_PAGE * SUSPECTS_A_PAGE
    start = min(page.start, last)
    shown = chosen[start : start + SUSPECTS_A_PAGE]
    with backend.reading(None, *OF_IMAGES) as (connection, _):
        names = file_names(connection, {each.suspect.image_id for each in shown})
    end = start + len(shown)
    return msgspec.structs.replace(
        page,
        position=suspects.position,
        items=[suspect_view(suspects, each, names) for each in shown],
        count=len(chosen),
        counts=StateCounts(**suspects.counts),
        complete=suspects.complete,
        notes=suspects.notes,
        start=start,
        following=str(end) if end < len(chosen) else None,
    )
