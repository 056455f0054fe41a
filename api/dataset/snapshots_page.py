"""The page of a project's snapshots, and of the difference between two moments."""

from typing import Annotated, cast

from litestar import Controller, get
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Template

from api.access.rights import needs
from api.dataset.messages import WITHOUT_CONCEPT
from api.dataset.projects_page import address
from api.dataset.snapshots import DifferenceView, difference
from api.http.parameters import AtLeast, Cursor, Served, position_in
from api.pages.html import Page, render
from domain.access.roles import Right
from domain.errors import Invalid, NotFound
from projections.dataset.catalog import (
    CATALOG,
    ProjectRow,
    ViewRow,
    find_project,
    labels_of,
    list_views,
)
from projections.dataset.difference import Change, PastAnnotation
from projections.dataset.snapshots import SNAPSHOTS, SnapshotRow, list_snapshots

SNAPSHOTS_A_PAGE = 50
IMAGES_A_PAGE = 50


class SnapshotsPage(Page, frozen=True, kw_only=True):
    """Snapshots, newest first, and what differs between two moments if they are given.

    `wrong` is why they could not be compared; `labels` are of the concepts of all views, by id.
    """

    project: ProjectRow
    views: list[ViewRow]
    snapshots: list[SnapshotRow]
    following: str | None
    first: str
    second: str
    change: str
    view: str
    difference: DifferenceView | None
    wrong: str | None
    labels: dict[str, str]

    @property
    def view_names(self) -> dict[str, str]:
        return {view.view_id: view.name for view in self.views}

    def address(self, **others: str) -> str:
        """The address of this comparison, some of it replaced."""
        query = {"from": self.first, "to": self.second, "change": self.change, "view": self.view}
        return address(query | others)

    def removal(self, name: str) -> str:
        return f"/api/v1/projects/{self.project.project_id}/snapshots{address({'name': name})}"

    def labels_text(self, annotations: list[PastAnnotation]) -> list[str]:
        """Annotations as texts: the view, and the concept in it, with how many boxes of it."""
        texts: dict[str, int] = {}
        for one in annotations:
            what = WITHOUT_CONCEPT if one.concept_id is None else self.labels.get(one.concept_id)
            view = self.view_names.get(one.view_id, one.view_id)
            text = f"{view}: {what or one.concept_id}"
            texts[text] = texts.get(text, 0) + 1
        return [text if count == 1 else f"{text} ({count})" for text, count in texts.items()]


class SnapshotPages(Controller):
    """Snapshots."""

    @get(
        "/projects/{project_id:str}/snapshots",
        sync_to_thread=True,
        opt=needs(Right.READ, of="project_id"),
    )
    def snapshots(
        self,
        backend: Served,
        project_id: FromPath[str],
        first: Annotated[str, QueryParameter(name="from")] = "",
        second: Annotated[str, QueryParameter(name="to")] = "",
        change: Annotated[str, QueryParameter(pattern="^(added|removed|relabelled|moved|)$")] = "",
        view: FromQuery[str] = "",
        before: Annotated[int | None, QueryParameter(ge=0)] = None,
        cursor: Cursor = None,
        at_least: AtLeast = None,
    ) -> Template:
        position_in(cursor)
        with backend.reading(at_least, CATALOG, SNAPSHOTS) as (connection, position):
            project = find_project(connection, project_id)
            if project is None:
                raise NotFound("project not found")
            views = list_views(connection, project_id, archived=True)
            limit = SNAPSHOTS_A_PAGE + 1
            rows = list_snapshots(connection, project_id, before=before, limit=limit)
            labels: dict[str, str] = {}
            for row in views:
                labels |= labels_of(connection, row.view_id)
        found, wrong = None, None
        if first:
            try:
                found = difference(
                    backend,
                    project_id,
                    first,
                    second or None,
                    cast(Change, change) if change else None,
                    view or None,
                    cursor,
                    IMAGES_A_PAGE,
                    at_least,
                )
            except Invalid as refusal:
                wrong = refusal.detail
        shown = rows[:SNAPSHOTS_A_PAGE]
        page = SnapshotsPage(
            position=position,
            api=f"/api/v1/projects/{project_id}/snapshots",
            project=project,
            views=views,
            snapshots=shown,
            following=f"?before={shown[-1].named_position}" if len(rows) > len(shown) else None,
            first=first,
            second=second,
            change=change,
            view=view,
            difference=found,
            wrong=wrong,
            labels=labels,
        )
        return render("dataset/snapshots.html", page)
