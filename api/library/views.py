"""Routes of views and their concepts."""

from litestar import Controller, Response, delete, get, patch, post, put
from litestar.params import FromPath, FromQuery, JSONBody

from api.access.rights import needs
from api.http.commands import CommandResult, Named, carry_out, named
from api.http.parameters import AsOf, AtLeast, HttpRequest, Served
from api.http.schemas import NewName
from api.library.schemas import NewConcepts, NewConditions, NewLabel, NewView, Views, ViewView
from application.views import add_concepts, change_concepts, change_conditions, create_view
from domain.access.roles import Right
from domain.aggregates import PROJECT, VIEW
from domain.errors import NotFound
from domain.library.conditions import Conditions
from domain.library.view import (
    ArchiveView,
    ChangeConditions,
    RemoveConcept,
    RenameConcept,
    RenameView,
    RestoreView,
)
from projections.dataset.catalog import CATALOG, find_view, list_views
from projections.dataset.dataset import DATASET
from projections.dataset.queries import count_views


class ViewController(Controller):
    """Views and concepts."""

    tags = ("Views",)
    dependencies = named(PROJECT, VIEW)

    @post(
        "/projects/{project_id:str}/views",
        summary="Create a view",
        sync_to_thread=True,
        opt=needs(Right.ANNOTATE, of="project_id", only_appends=True),
    )
    def create_view(self, project: Named, data: JSONBody[NewView]) -> Response[CommandResult]:
        """A view without a parent has all images of the project. A child view has the items of its
        parent that meet the conditions; of a detection view, the crops of its annotated boxes. The
        parent cannot be changed; `PUT /views/{view_id}/conditions` changes the conditions."""
        conditions = groups_of(data.conditions)
        return project.carry_out(
            lambda session: create_view(
                session, project.id, data.name, data.kind, data.parent_id, conditions
            ),
            data,
            status_code=201,
        )

    @put(
        "/views/{view_id:str}/conditions",
        summary="Change a child view's conditions",
        sync_to_thread=True,
        opt=needs(Right.ANNOTATE, of="view_id"),
    )
    def set_conditions(self, view: Named, data: JSONBody[NewConditions]) -> Response[CommandResult]:
        """Choose other items of the parent. Versions keep the items that they were trained on.
        Annotations of items that leave the view are kept, and apply again if the items return."""
        command = ChangeConditions(groups_of(data.conditions))
        return view.carry_out(lambda session: change_conditions(session, view.id, command), data)

    @get(
        "/projects/{project_id:str}/views",
        summary="List views",
        sync_to_thread=True,
        opt=needs(Right.READ, of="project_id"),
    )
    def list_views(
        self,
        backend: Served,
        project_id: FromPath[str],
        archived: FromQuery[bool] = False,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> Views:
        """A project's views, oldest first; archived ones only on request."""
        with backend.reading_as_of(as_of, at_least, CATALOG) as (connection, position, at):
            items = list_views(connection, project_id, archived=archived, as_of=at)
            return Views(items, position)

    @get(
        "/views/{view_id:str}",
        summary="A view, its concepts and counts",
        sync_to_thread=True,
        opt=needs(Right.READ, of="view_id"),
    )
    def get_view(
        self,
        backend: Served,
        view_id: FromPath[str],
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> Response[ViewView]:
        with backend.reading_as_of(as_of, at_least, CATALOG, DATASET) as (connection, position, at):
            view = find_view(connection, view_id, as_of=at)
            if view is None:
                raise NotFound("view not found")
            counts = count_views(connection, view.project_id, [view_id], as_of=at)[view_id]
        return Response(
            ViewView(view, counts.concepts, counts, position),
            headers={"ETag": f'"{view.revision}"'},
        )

    @patch(
        "/views/{view_id:str}",
        summary="Rename a view",
        sync_to_thread=True,
        opt=needs(Right.ANNOTATE, of="view_id", only_appends=True),
    )
    def rename_view(self, view: Named, data: JSONBody[NewName]) -> Response[CommandResult]:
        return view.change(RenameView(data.name), data)

    @delete(
        "/views/{view_id:str}",
        summary="Archive a view",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.TRAIN, of="view_id", only_appends=True),
    )
    def archive_view(self, view: Named) -> Response[CommandResult]:
        """Nothing is deleted: an archived view is listed only on request, and nothing can be
        annotated, changed or trained in it until it is restored. Running trainings continue."""
        return view.change(ArchiveView())

    @post(
        "/views/{view_id:str}/restore",
        summary="Restore an archived view",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.TRAIN, of="view_id", only_appends=True),
    )
    def restore_view(self, view: Named) -> Response[CommandResult]:
        return view.change(RestoreView())

    @post(
        "/views/{view_id:str}/concepts",
        summary="Add concepts",
        sync_to_thread=True,
        opt=needs(Right.ANNOTATE, of="view_id", only_appends=True),
    )
    def add_concepts(self, view: Named, data: JSONBody[NewConcepts]) -> Response[CommandResult]:
        """Add concepts, all or none. The answer's `ids` are their ids, in the order of the labels.

        The view's current model is amended, or forked if it has a version.
        """
        return view.carry_out(
            lambda session: add_concepts(session, view.id, data.labels), data, status_code=201
        )

    @patch(
        "/views/{view_id:str}/concepts/{concept_id:str}",
        summary="Rename a concept",
        sync_to_thread=True,
        opt=needs(Right.ANNOTATE, of="view_id", only_appends=True),
    )
    def rename_concept(
        self,
        backend: Served,
        request: HttpRequest,
        view_id: FromPath[str],
        concept_id: FromPath[str],
        data: JSONBody[NewLabel],
    ) -> Response[CommandResult]:
        """The concept keeps its id, so no model changes."""
        command = RenameConcept(concept_id, data.label)
        return carry_out(
            backend, request, data, lambda session: change_concepts(session, view_id, command)
        )

    @delete(
        "/views/{view_id:str}/concepts/{concept_id:str}",
        summary="Remove a concept",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.ANNOTATE, of="view_id", only_appends=True),
    )
    def remove_concept(
        self,
        backend: Served,
        request: HttpRequest,
        view_id: FromPath[str],
        concept_id: FromPath[str],
    ) -> Response[CommandResult]:
        command = RemoveConcept(concept_id)
        return carry_out(
            backend, request, None, lambda session: change_concepts(session, view_id, command)
        )


def groups_of(conditions: list[list[str]]) -> Conditions:
    return tuple(tuple(group) for group in conditions)
