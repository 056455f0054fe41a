"""Routes of the Models Library: a view's models with their versions."""

from typing import Annotated

from litestar import Controller, Response, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from api.access.rights import needs
from api.http.commands import Answer, CarryOut
from api.http.parameters import AsOf, AtLeast, Cursor, Limit, Served, position_in
from api.http.schemas import Library, ModelView, NewFork, NewName
from application import views as commands
from domain.access.roles import Right
from domain.errors import NotFound
from projections.training.library_queries import find_model, library


class ModelController(Controller):
    """Models."""

    tags = ("Models",)

    @get(
        "/views/{view_id:str}/models",
        summary="The Models Library",
        sync_to_thread=True,
        opt=needs(Right.READ, of="view_id"),
    )
    def list_models(
        self,
        backend: Served,
        view_id: FromPath[str],
        versions_each: Annotated[
            int, QueryParameter(ge=0, le=500, description="Versions listed under each model")
        ] = 50,
        archived: FromQuery[bool] = False,
        cursor: Cursor = None,
        limit: Limit = 20,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> Library:
        """A view's models, newest first, each with its newest versions."""
        before = position_in(cursor)
        with backend.reading_as_of(as_of, at_least) as (connection, position, at):
            items = library(
                connection,
                view_id,
                before=before,
                limit=limit,
                versions_each=versions_each,
                archived=archived,
                as_of=at,
            )
        following = str(items[-1].model.created_position) if len(items) == limit else None
        return Library(items, following, position)

    @get(
        "/models/{model_id:str}",
        summary="A model",
        sync_to_thread=True,
        opt=needs(Right.READ, of="model_id"),
    )
    def get_model(
        self,
        backend: Served,
        model_id: FromPath[str],
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> Response[ModelView]:
        with backend.reading_as_of(as_of, at_least) as (connection, position, at):
            model = find_model(connection, model_id, as_of=at)
        if model is None:
            raise NotFound("there is no such model")
        return Response(ModelView(model, position), headers={"ETag": f'"{model.revision}"'})

    @post(
        "/models/{model_id:str}/forks",
        summary="Fork a model",
        sync_to_thread=True,
        opt=needs(Right.TRAIN, of="model_id"),
    )
    def fork_model(
        self, carry_out: CarryOut, model_id: FromPath[str], data: JSONBody[NewFork]
    ) -> Response[Answer]:
        """Make a model of other concepts, descending from this one."""
        return carry_out(
            lambda session: commands.fork_model(
                session, model_id, data.concepts, data.why, data.name
            ),
            data,
            status_code=201,
        )

    @patch(
        "/models/{model_id:str}",
        summary="Rename a model",
        sync_to_thread=True,
        opt=needs(Right.TRAIN, of="model_id"),
    )
    def rename_model(
        self, carry_out: CarryOut, model_id: FromPath[str], data: JSONBody[NewName]
    ) -> Response[Answer]:
        return carry_out(lambda session: commands.rename_model(session, model_id, data.name), data)

    @delete(
        "/models/{model_id:str}",
        summary="Archive a model",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.TRAIN, of="model_id"),
    )
    def archive_model(self, carry_out: CarryOut, model_id: FromPath[str]) -> Response[Answer]:
        """Nothing is deleted: an archived model is only no longer trained, nor listed unasked."""
        return carry_out(lambda session: commands.archive_model(session, model_id))
