"""The page of near-duplicates across a project's splits."""

from litestar import Controller, get
from litestar.params import FromPath
from litestar.response import Template

from api.access.rights import needs
from api.dataset.near_duplicates import Distance, NearDuplicatesView, near_duplicates
from api.http.parameters import AtLeast, Cursor, Served
from api.pages.html import Page, render
from domain.access.roles import Right
from domain.errors import NotFound
from projections.dataset.catalog import CATALOG, ProjectRow, find_project
from projections.dataset.near_duplicates import FARTHEST, NEAR

PAIRS_A_PAGE = 30


class NearDuplicatesPage(Page, frozen=True, kw_only=True):
    """Pairs of a training image and one of another split that look alike."""

    project: ProjectRow
    found: NearDuplicatesView
    distance: int

    @property
    def distances(self) -> list[int]:
        return list(range(FARTHEST + 1))

    @property
    def behind(self) -> bool:
        """Whether events are there that the hashes do not cover yet."""
        return self.found.hashed_position < self.found.position


class NearDuplicatePages(Controller):
    """Near-duplicates."""

    @get(
        "/projects/{project_id:str}/near-duplicates",
        sync_to_thread=True,
        opt=needs(Right.READ, of="project_id"),
    )
    def near_duplicates(
        self,
        backend: Served,
        project_id: FromPath[str],
        distance: Distance = NEAR,
        cursor: Cursor = None,
        at_least: AtLeast = None,
    ) -> Template:
        with backend.reading(at_least, CATALOG) as (connection, position):
            project = find_project(connection, project_id)
        if project is None:
            raise NotFound("project not found")
        page = NearDuplicatesPage(
            position=position,
            api=f"/api/v1/projects/{project_id}/near-duplicates",
            project=project,
            found=near_duplicates(backend, project_id, distance, cursor, PAIRS_A_PAGE, at_least),
            distance=distance,
        )
        return render("dataset/near_duplicates.html", page)
