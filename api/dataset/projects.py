"""Routes of projects: names, counts, and the validation set that their views share."""

from litestar import Controller, Response, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody

from api.access.rights import needs
from api.dataset.schemas import DatasetView, NewProject, NewSplit, Projects, ProjectView
from api.http.commands import CommandResult, Named, carry_out, named
from api.http.parameters import AsOf, AtLeast, Cursor, HttpRequest, Limit, Served, position_in
from api.http.schemas import NewName
from application.access.accounts import begin_project
from application.dataset.projects import draw_test_set, draw_validation_split
from domain.access.roles import Right
from domain.aggregates import PROJECT
from domain.dataset.project import RenameProject
from domain.dataset.splits import DrawSplit
from domain.errors import NotFound
from projections.dataset.catalog import CATALOG, find_project, list_projects, list_views
from projections.dataset.dataset import DATASET
from projections.dataset.project_lookup import project_in, project_query
from projections.dataset.queries import count_images, count_views


class ProjectController(Controller):
    """Projects."""

    path = "/projects"
    tags = ("Projects",)
    dependencies = named(PROJECT)

    @post(
        summary="Create a project",
        sync_to_thread=True,
        opt=needs(Right.TRAIN, anywhere=True, only_appends=True),
    )
    def create_project(
        self, backend: Served, request: HttpRequest, data: JSONBody[NewProject]
    ) -> Response[CommandResult]:
        """The caller becomes its administrator, unless it administers all projects."""
        return carry_out(
            backend,
            request,
            data,
            lambda session: begin_project(session, data.name, request.user),
            status_code=201,
        )

    @get(
        summary="List projects, newest first",
        sync_to_thread=True,
        opt=needs(Right.READ, anywhere=True),
    )
    def list_projects(
        self,
        backend: Served,
        request: HttpRequest,
        name: FromQuery[str | None] = None,
        cursor: Cursor = None,
        limit: Limit = 50,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> Projects:
        """The projects in which the caller has a role."""
        before, readable = position_in(cursor), request.user.grants.projects(Right.READ)
        with backend.reading_as_of(as_of, at_least, CATALOG) as (connection, position, at):
            items = list_projects(
                connection, before=before, limit=limit, name=name, among=readable, as_of=at
            )
        following = str(items[-1].created_position) if len(items) == limit else None
        return Projects(items, following, position)

    @get(
        "/{project_id:str}",
        summary="A project and its counts",
        sync_to_thread=True,
        opt=needs(Right.READ, of="project_id"),
    )
    def get_project(
        self,
        backend: Served,
        project_id: FromPath[str],
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> Response[ProjectView]:
        if as_of is None:
            query = project_query(project_id)
            rows, position = backend.look_up(at_least, query, CATALOG, DATASET)
            found = project_in(rows)
        else:
            with backend.reading_as_of(as_of, at_least, CATALOG, DATASET) as read:
                connection, position, at = read
                past = find_project(connection, project_id, as_of=at)
                counted = count_images(connection, project_id, as_of=at)
            found = None if past is None else (past, counted)
        if found is None:
            raise NotFound("project not found")
        project, counts = found
        return Response(
            ProjectView(project, counts, position), headers={"ETag": f'"{project.revision}"'}
        )

    @get(
        "/{project_id:str}/dataset",
        summary="The number of a project's images",
        sync_to_thread=True,
        opt=needs(Right.READ, of="project_id"),
    )
    def get_dataset(
        self,
        backend: Served,
        project_id: FromPath[str],
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> DatasetView:
        """The number of images by split, and by view and concept, archived views included."""
        with backend.reading_as_of(as_of, at_least, CATALOG, DATASET) as (connection, position, at):
            if find_project(connection, project_id, as_of=at) is None:
                raise NotFound("project not found")
            views = [
                view.view_id for view in list_views(connection, project_id, archived=True, as_of=at)
            ]
            by_view = count_views(connection, project_id, views, as_of=at)
            counts = count_images(connection, project_id, as_of=at)
            return DatasetView(counts, [by_view[view_id] for view_id in views], position)

    @patch(
        "/{project_id:str}",
        summary="Rename a project",
        sync_to_thread=True,
        opt=needs(Right.ADMINISTER, of="project_id", only_appends=True),
    )
    def rename_project(self, project: Named, data: JSONBody[NewName]) -> Response[CommandResult]:
        return project.change(RenameProject(data.name), data)

    @post(
        "/{project_id:str}/validation-split",
        summary="Draw a validation set",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.TRAIN, of="project_id", only_appends=True),
    )
    def draw_validation_split(
        self, project: Named, data: JSONBody[NewSplit]
    ) -> Response[CommandResult]:
        """Draw a validation set at random from the images that are not in the test set; the others
        become training images.

        With `stratify_by`, a view's id, each concept of the view gets about the same share.
        """
        command = DrawSplit(data.size, data.seed, data.stratify_by)
        return project.carry_out(
            lambda session: draw_validation_split(session, project.id, command), data
        )

    @post(
        "/{project_id:str}/test-set",
        summary="Draw a test set",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.TRAIN, of="project_id"),
    )
    def draw_test_set(self, project: Named, data: JSONBody[NewSplit]) -> Response[CommandResult]:
        """Draw a test set at random from the images that are not in the validation set; the others
        become training images.

        No version is trained or validated on it. With `stratify_by`, a view's id, each concept of
        the view gets about the same share.
        """
        command = DrawSplit(data.size, data.seed, data.stratify_by)
        return project.carry_out(lambda session: draw_test_set(session, project.id, command), data)
