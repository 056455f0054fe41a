"""The page of a project's groups: the key that makes them, and those that splits tear."""

from typing import Annotated

from litestar import Controller, get
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Template

from api.access.rights import needs
from api.dataset.groups import GroupsView, groups_view
from api.dataset.projects_page import address
from api.http.parameters import AtLeast, Cursor, Served
from api.pages.html import Page, render
from domain.access.roles import Right
from domain.errors import NotFound
from projections.dataset.catalog import CATALOG, ProjectRow, ViewRow, find_project, list_views
from projections.dataset.dataset import DATASET
from projections.dataset.queries import metadata_keys

GROUPS_A_PAGE = 50


class GroupsPage(Page, frozen=True, kw_only=True):
    """Groups by the project's key, or by another one to look at before it is set.

    `keys` are those that images have.
    """

    project: ProjectRow
    views: list[ViewRow]
    keys: list[str]
    groups: GroupsView
    torn: str

    @property
    def view_choices(self) -> list[tuple[str, str]]:
        return [(view.view_id, view.name) for view in self.views]

    @property
    def is_set(self) -> bool:
        """Whether the groups shown are those that the project keeps together."""
        return self.groups.key is not None and self.groups.key == self.groups.group_key

    def address(self, **others: str) -> str:
        """The address of this list, some of it replaced."""
        query = {"key": "" if self.is_set else self.groups.key or "", "torn": self.torn}
        return address(query | others)


class GroupPages(Controller):
    """Groups."""

    @get(
        "/projects/{project_id:str}/groups",
        sync_to_thread=True,
        opt=needs(Right.READ, of="project_id"),
    )
    def groups(
        self,
        backend: Served,
        project_id: FromPath[str],
        key: FromQuery[str] = "",
        torn: Annotated[str, QueryParameter(pattern="^(yes|)$")] = "",
        cursor: Cursor = None,
        at_least: AtLeast = None,
    ) -> Template:
        with backend.reading(at_least, CATALOG, DATASET) as (connection, position):
            project = find_project(connection, project_id)
            if project is None:
                raise NotFound("project not found")
            views = list_views(connection, project_id)
            keys = metadata_keys(connection, project_id)
        page = GroupsPage(
            position=position,
            api=f"/api/v1/projects/{project_id}/groups",
            project=project,
            views=views,
            keys=keys,
            groups=groups_view(
                backend, project_id, key or None, bool(torn), cursor, GROUPS_A_PAGE, at_least, None
            ),
            torn=torn,
        )
        return render("dataset/groups.html", page)
