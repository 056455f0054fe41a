"""Routes of the Models Library: a view's models with their versions."""

from collections.abc import Iterable
from typing import Annotated

from litestar import Controller, Response, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from api.access.rights import needs
from api.dataset.file_names import encoded_with_file_names, names_images
from api.encoded_versions import library_listing
from api.http.commands import CommandResult, Named, named
from api.http.parameters import AsOf, AtLeast, Cursor, Limit, Served, position_in
from api.http.schemas import NewName
from api.library.schemas import Library, ModelView, NewFork
from application.views import fork_model
from domain.access.roles import Right
from domain.aggregates import MODEL
from domain.errors import NotFound
from domain.library.model import ArchiveModel, RenameModel
from projections.training.library_queries import find_model
from projections.training.library_revisions import LibraryPage, revisions_in
from projections.training.models_library import MODELS_LIBRARY


class ModelController(Controller):
    """Models."""

    tags = ("Models",)
    dependencies = named(MODEL)

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
    ) -> Response[Library]:
        """A view's models, newest first, each with its newest versions."""
        page = LibraryPage(
            view_id,
            before=position_in(cursor),
            limit=limit,
            versions_each=versions_each,
            archived=archived,
        )
        versions: Iterable[bytes] | None = None
        if as_of is None:
            rows, position = backend.look_up_each(at_least, page.queries(), MODELS_LIBRARY)
            listed = page.listed(rows)
            versions = backend.versions.known(revisions_in(listed))
        if versions is None:
            with backend.reading_as_of(as_of, at_least, MODELS_LIBRARY) as read:
                connection, position, at = read
                listed = page.read(connection, at)
                encoded = backend.versions.encode(
                    connection, revisions_in(listed), at, names_images
                )
            versions = encoded_with_file_names(backend, encoded)
        following = str(listed[-1][0].created_position) if len(listed) == limit else None
        return library_listing(listed, versions, following, position)

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
        with backend.reading_as_of(as_of, at_least, MODELS_LIBRARY) as (connection, position, at):
            model = find_model(connection, model_id, as_of=at)
        if model is None:
            raise NotFound("model not found")
        return Response(ModelView(model, position), headers={"ETag": f'"{model.revision}"'})

    @post(
        "/models/{model_id:str}/forks",
        summary="Fork a model",
        sync_to_thread=True,
        opt=needs(Right.TRAIN, of="model_id"),
    )
    def fork_model(self, model: Named, data: JSONBody[NewFork]) -> Response[CommandResult]:
        """Create a model of other concepts with this one as its parent."""
        return model.carry_out(
            lambda session: fork_model(session, model.id, data.concepts, data.why, data.name),
            data,
            status_code=201,
        )

    @patch(
        "/models/{model_id:str}",
        summary="Rename a model",
        sync_to_thread=True,
        opt=needs(Right.TRAIN, of="model_id", only_appends=True),
    )
    def rename_model(self, model: Named, data: JSONBody[NewName]) -> Response[CommandResult]:
        return model.change(RenameModel(data.name), data)

    @delete(
        "/models/{model_id:str}",
        summary="Archive a model",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.TRAIN, of="model_id", only_appends=True),
    )
    def archive_model(self, model: Named) -> Response[CommandResult]:
        """Nothing is deleted: an archived model cannot be trained, and is listed only on
        request."""
        return model.change(ArchiveModel())
