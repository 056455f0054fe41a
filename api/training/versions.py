"""Routes of model versions: train, list, stop."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

from litestar import Controller, Response, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from api.access.long_polls import once_ended
from api.access.rights import needs
from api.backend import Backend
from api.dataset.file_names import encoded_with_file_names, names_images, with_file_names
from api.encoded_versions import listing
from api.http.commands import CommandResult, Named, envelope, named, respond
from api.http.parameters import AsOf, AtLeast, Cursor, HttpRequest, Limit, Served, Wait
from api.http.schemas import NewName
from api.known_trainers import listing_trainers
from api.training.corrected import corrected_since
from api.training.schemas import (
    CorrectedSince,
    NewVersion,
    ProgressView,
    Versions,
    VersionView,
)
from api.training.waiting import waiting_for
from api.training.warnings import warnings_about
from application.handle import Decided, Session
from application.training import versions as commands
from domain.access.roles import Right
from domain.aggregates import VERSION
from domain.errors import NotFound
from domain.training.version import (
    ENDED,
    ArchiveVersion,
    CancelVersion,
    RenameVersion,
    StopVersion,
)
from projections.flip_book.suspects import SUSPECTS
from projections.training.evaluations import EVALUATIONS
from projections.training.library_queries import (
    NEWEST,
    VersionFilter,
    VersionRow,
    find_version,
)
from projections.training.library_revisions import list_revisions
from projections.training.models_library import MODELS_LIBRARY
from projections.training.version_progress import (
    VERSION_PROGRESS,
    find_progress,
    progress_in,
    progress_query,
    trainings_before,
)


class VersionController(Controller):
    """Model versions."""

    tags = ("Versions",)
    dependencies = named(VERSION)

    @post(
        "/models/{model_id:str}/versions",
        summary="Train a model",
        sync_to_thread=True,
        opt=needs(Right.TRAIN, of="model_id"),
    )
    def train_model(
        self,
        backend: Served,
        request: HttpRequest,
        model_id: FromPath[str],
        data: JSONBody[NewVersion],
    ) -> Response[CommandResult]:
        """Start a training on the current images."""
        return _train(
            backend,
            request,
            data,
            lambda session: commands.create_version(
                session,
                model_id,
                data.name,
                data.options,
                backend.weights,
                data.with_trainer,
                data.preset,
            ),
            status_code=201,
        )

    @post(
        "/views/{view_id:str}/versions",
        summary="Train the current model",
        sync_to_thread=True,
        opt=needs(Right.TRAIN, of="view_id"),
    )
    def start_training(
        self,
        backend: Served,
        request: HttpRequest,
        view_id: FromPath[str],
        data: JSONBody[NewVersion],
    ) -> Response[CommandResult]:
        """Start a training of the model that predicts all concepts of the view."""
        return _train(
            backend,
            request,
            data,
            lambda session: commands.train_view(
                session,
                view_id,
                data.name,
                data.options,
                backend.weights,
                data.with_trainer,
                data.preset,
            ),
            status_code=201,
        )

    @get(
        "/versions",
        summary="List versions",
        sync_to_thread=True,
        opt=needs(Right.READ, anywhere=True),
    )
    def list_versions(
        self,
        backend: Served,
        request: HttpRequest,
        project_id: FromQuery[str | None] = None,
        view_id: FromQuery[str | None] = None,
        model_id: FromQuery[str | None] = None,
        status: FromQuery[str | None] = None,
        architecture: FromQuery[str | None] = None,
        name: FromQuery[str | None] = None,
        archived: FromQuery[bool] = False,
        experiment_id: FromQuery[str | None] = None,
        trials: Annotated[
            bool, QueryParameter(description="Whether versions of experiments are listed")
        ] = True,
        sort: FromQuery[str] = NEWEST,
        cursor: Cursor = None,
        limit: Limit = 50,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> Response[Versions]:
        """Visible versions that match all filters.

        `sort` is newest, oldest, best, name, status, architecture, images (most first) or loss
        (lowest first). A minus before it reverses the order.
        """
        version_filter = VersionFilter(
            projects=request.user.grants.projects(Right.READ),
            project_id=project_id,
            view_id=view_id,
            model_id=model_id,
            status=status,
            architecture=architecture,
            name=name,
            archived=archived,
            experiment_id=experiment_id,
            trials=trials,
        )
        with backend.reading_as_of(as_of, at_least, MODELS_LIBRARY) as (connection, position, at):
            items = list_revisions(
                connection, version_filter, sort=sort, after=cursor, limit=limit, as_of=at
            )
            versions = backend.versions.encode(connection, items, at, names_images)
        following = items[-1].version_id if len(items) == limit else None
        parts = encoded_with_file_names(backend, versions)
        return listing(parts, following, position)

    @get(
        "/versions/{version_id:str}",
        summary="A version",
        opt=needs(Right.READ, of="version_id"),
    )
    async def get_version(
        self,
        backend: Served,
        request: HttpRequest,
        version_id: FromPath[str],
        wait: Wait = 0,
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> Response[VersionView]:
        """While it is queued, `waiting` has the trainings before it and the workers online."""
        read_models = MODELS_LIBRARY, VERSION_PROGRESS, SUSPECTS, EVALUATIONS

        def read() -> tuple[VersionRow, int, int | None, list[str], CorrectedSince | None]:
            with backend.reading_as_of(as_of, at_least, *read_models) as (connection, position, at):
                version = find_version(connection, version_id, as_of=at)
                if version is None:
                    raise NotFound("version not found")
                before = trainings_before(connection, version_id) if at is None else None
                progress = find_progress(connection, version_id, as_of=at)
                corrected = corrected_since(connection, version, as_of=at)
                warnings = warnings_about(connection, version, progress, as_of=at)
            (named,) = with_file_names(backend, [version])
            return named, position, before, warnings, corrected

        async def look() -> VersionView:
            version, position, before, warnings, corrected = await asyncio.to_thread(read)
            waiting = await waiting_for(backend, version_id, before)
            return VersionView(version, position, waiting, warnings, corrected)

        view = await once_ended(
            backend,
            request,
            look,
            lambda shown: shown.version.status in ENDED,
            wait if as_of is None else 0.0,  # the past has no end to wait for
            *read_models,
        )
        return Response(view, headers={"ETag": f'"{view.version.revision}"'})

    @get(
        "/versions/{version_id:str}/progress",
        summary="A version's progress",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def get_version_progress(
        self,
        backend: Served,
        version_id: FromPath[str],
        at_least: AtLeast = None,
        as_of: AsOf = None,
    ) -> ProgressView:
        if as_of is None:
            query = progress_query([version_id])
            rows, position = backend.look_up(at_least, query, VERSION_PROGRESS)
            progress = progress_in(rows).get(version_id)
        else:
            with backend.reading_as_of(as_of, at_least, VERSION_PROGRESS) as read:
                connection, position, at = read
                progress = find_progress(connection, version_id, as_of=at)
        if progress is None:
            raise NotFound("version not found")
        (named,) = with_file_names(backend, [progress])
        return ProgressView(named, position)

    @post(
        "/versions/{version_id:str}/retry",
        summary="Retry a failed version",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.TRAIN, of="version_id"),
    )
    def retry_version(
        self, backend: Served, request: HttpRequest, version_id: FromPath[str]
    ) -> Response[CommandResult]:
        """Resume from its last checkpoint."""
        return _train(
            backend, request, None, lambda session: commands.retry_version(session, version_id)
        )

    @post(
        "/versions/{version_id:str}/stop",
        summary="Stop a training early",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.TRAIN, of="version_id", only_appends=True),
    )
    def stop_version(self, version: Named) -> Response[CommandResult]:
        """The training ends with its running epoch, keeps its best checkpoint, and is evaluated."""
        return version.change(StopVersion())

    @post(
        "/versions/{version_id:str}/cancel",
        summary="Cancel a training",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.TRAIN, of="version_id", only_appends=True),
    )
    def cancel_version(self, version: Named) -> Response[CommandResult]:
        """The training ends at once, queued or running. Its weights are discarded; this is
        final."""
        return version.change(CancelVersion())

    @patch(
        "/versions/{version_id:str}",
        summary="Rename a version",
        sync_to_thread=True,
        opt=needs(Right.TRAIN, of="version_id", only_appends=True),
    )
    def rename_version(self, version: Named, data: JSONBody[NewName]) -> Response[CommandResult]:
        return version.change(RenameVersion(data.name), data)

    @delete(
        "/versions/{version_id:str}",
        summary="Archive a version",
        status_code=200,
        sync_to_thread=True,
        opt=needs(Right.TRAIN, of="version_id", only_appends=True),
    )
    def archive_version(self, version: Named) -> Response[CommandResult]:
        """Nothing is deleted: an archived version is listed only on request."""
        return version.change(ArchiveVersion())


def _train(
    backend: Backend,
    request: HttpRequest,
    content: object,
    decide: Callable[[Session], Decided[Any]],
    *,
    status_code: int = 200,
) -> Response[CommandResult]:
    """Carry out a command that starts a training of an account."""
    with listing_trainers(backend):
        outcome = backend.trainings.handle(envelope(request, content), decide)
    return respond(outcome, status_code)
