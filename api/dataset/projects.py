"""Routes of projects: their names, and the validation set that all their views share."""

from litestar import Controller, Response, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody

from api.access.rights import needs
from api.http.commands import Answer, CarryOut
from api.http.parameters import AsOf, AtLeast, Cursor, HttpRequest, Limit, Served, position_in
from api.http.schemas import DatasetView, NewName, NewProject, NewSplit, Projects, ProjectView
from application.access.accounts import begin_project
from application.dataset import projects as commands
from domain.access.roles import Right
from domain.dataset.project import DrawValidationSplit
from domain.errors import NotFound
from projections.dataset.catalog import find_project, list_projects, list_views
from projections.dataset.queries import count_images, count_views


class ProjectController(Controller):
    """Projects."""

    path = "/projects"
    tags = ("Projects",)

    @post(summary="Create a project", sync_to_thread=True, opt=needs(Right.TRAIN, anywhere=True))
    def create_project(
        self, carry_out: CarryOut, request: HttpRequest, data: JSONBody[NewProject]
    ) -> Response[Answer]:
        """Whoever does not administer it anyway becomes its administrator."""
        return carry_out(
            lambda session: begin_project(session, data.name, request.user), data, status_code=201
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
        """Those in which you have a role."""
        before, seen = position_in(cursor), request.user.grants.projects(Right.READ)
        with backend.reading_as_of(as_of, at_least) as (connection, position, at):
            items = list_projects(
                connection, before=before, limit=limit, name=name, among=seen, as_of=at
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
        with backend.reading_as_of(as_of, at_least) as (connection, position, at):
            project = find_project(connection, project_id, as_of=at)
            if project is None:
                raise NotFound("there is no such project")
            counts = count_images(connection, project_id, as_of=at)
        return Response(
            ProjectView(project, counts, position), headers={"ETag": f'"{project.revision}"'}
        )

    @get(
        "/{project_id:str}/dataset",
        summary="A project's images, counted",
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
        """How many images there are of each split, and in each view of each concept."""
        with backend.reading_as_of(as_of, at_least) as (connection, position, at):
            if find_project(connection, project_id, as_of=at) is None:
                raise NotFound("there is no such project")
            views = [view.view_id for view in list_views(connection, project_id, as_of=at)]
            found = count_views(connection, project_id, views, as_of=at)
            counts = count_images(connection, project_id, as_of=at)
            return DatasetView(counts, [found[one] for one in views], position)

    @patch(
        "/{project_id:str}",
        summary="Rename a project",
        sync_to_thread=True,
        opt=needs(Right.ADMINISTER, of="project_id"),
    )
    def rename_project(
        self, carry_out: CarryOut, project_id: FromPath[str], data: JSONBody[NewName]
    ) -> Response[Answer]:
        return carry_out(
            lambda session: commands.rename_project(session, project_id, data.name), data
        )

    @post(
        "/{project_id:str}/validation-split",
        summary="Perform a validation split",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.TRAIN, of="project_id"),
    )
    def draw_validation_split(
        self, carry_out: CarryOut, project_id: FromPath[str], data: JSONBody[NewSplit]
    ) -> Response[Answer]:
        """Draw a validation set at random from all images; the others train."""
        command = DrawValidationSplit(data.size, data.seed)
        return carry_out(
            lambda session: commands.draw_validation_split(session, project_id, command), data
        )
