"""Routes of imports and exports: a source taken in, how that goes, and annotations taken out."""

import asyncio
import tempfile
import uuid
from pathlib import Path
from typing import Annotated

from litestar import Controller, Response, get, post
from litestar.background_tasks import BackgroundTask
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response import File

from adapters.exports import ExportRequest, export
from adapters.formats.registry import FORMATS
from adapters.imports.asked import upload_key
from adapters.imports.progress import ImportProgress, progress_of
from adapters.imports.run import inside_roots
from api.backend import Backend
from api.commands import Answer, carry_out, envelope, respond
from api.parameters import AtLeast, Cursor, HttpRequest, Limit, Served, position_in
from api.schemas import Imports, ImportView, NewImport
from application.handle import Request, handle
from application.imports import request_import
from domain.errors import Invalid, NotFound
from domain.imports import ImportRules, RequestImport
from projections.imports import find_import, list_imports

_KNOWN = frozenset(FORMATS)
_PIECE = 1 << 20
_NAMESPACE = uuid.UUID("7a5cb0ae-1f0c-4bb6-9a53-5f0a4a9f2d61")


class ImportController(Controller):
    """Images and annotations made elsewhere, brought in; and annotations brought out."""

    tags = ("Imports and exports",)

    @post(
        "/projects/{project_id:str}/imports/upload",
        summary="Upload an archive and import it",
        status_code=202,
        request_max_body_size=None,
    )
    async def upload_import(
        self,
        backend: Served,
        request: HttpRequest,
        project_id: FromPath[str],
        name: Annotated[str, QueryParameter(name="name", description="The archive's file name")],
        view: FromQuery[str | None] = None,
        form: Annotated[str, QueryParameter(name="format")] = "auto",
        kind: FromQuery[str | None] = None,
        new_concepts: FromQuery[bool] = True,
        skip_bad: FromQuery[bool] = False,
        clip: FromQuery[bool] = False,
        dry_run: FromQuery[bool] = False,
    ) -> Response[Answer]:
        """The body is a zip, or a tar, perhaps compressed. The answer's `id` is the import's.

        It is carried out afterwards: `GET /imports/{id}` says how far it is and how it ended.
        """
        rules = ImportRules(form, kind, new_concepts, skip_bad, clip, dry_run)
        command = RequestImport(project_id, name, False, view, rules)
        asked = envelope(request, command)
        with tempfile.TemporaryDirectory(prefix="stemma-upload-") as folder:
            path = Path(folder) / "archive"
            await _receive(request, path, backend.max_import_bytes)
            return await asyncio.to_thread(_ask, backend, asked, command, path)

    @post(
        "/projects/{project_id:str}/imports",
        summary="Import a folder or archive on the server",
        status_code=202,
        sync_to_thread=True,
    )
    def create_import(
        self,
        backend: Served,
        request: HttpRequest,
        project_id: FromPath[str],
        data: JSONBody[NewImport],
    ) -> Response[Answer]:
        """For what lies where the server may read: its operator sets STEMMA_IMPORT_ROOTS."""
        source = str(inside_roots(data.source, backend.import_roots))
        rules = ImportRules(
            data.format, data.kind, data.new_concepts, data.skip_bad, data.clip, data.dry_run
        )
        command = RequestImport(project_id, source, True, data.view, rules)
        return carry_out(
            backend,
            request,
            data,
            lambda session: request_import(session, command, _KNOWN),
            status_code=202,
        )

    @get("/projects/{project_id:str}/imports", summary="List imports", sync_to_thread=True)
    def list_imports(
        self,
        backend: Served,
        project_id: FromPath[str],
        cursor: Cursor = None,
        limit: Limit = 50,
        at_least: AtLeast = None,
    ) -> Imports:
        """A project's imports, newest first."""
        before = position_in(cursor)
        with backend.reading(at_least) as (connection, position):
            items = list_imports(connection, project_id, before=before, limit=limit)
        following = str(items[-1].requested_position) if len(items) == limit else None
        return Imports(items, following, position)

    @get("/imports/{import_id:str}", summary="An import", sync_to_thread=True)
    def get_import(
        self, backend: Served, import_id: FromPath[str], at_least: AtLeast = None
    ) -> ImportView:
        """How it ended, or how far it is."""
        with backend.reading(at_least) as (connection, position):
            found = find_import(connection, import_id)
            progress: ImportProgress | None = progress_of(connection, import_id)
        if found is None:
            raise NotFound("there is no such import")
        return ImportView(found, progress, position)

    @get(
        "/imports/{import_id:str}/report",
        summary="All problems and notes of an import",
        media_type="application/x-ndjson",
        sync_to_thread=True,
    )
    def get_report(self, backend: Served, import_id: FromPath[str]) -> Response[bytes]:
        """JSON lines of `kind` (problem or note), `where` and `text`."""
        with backend.reading() as (connection, _):
            found = find_import(connection, import_id)
        if found is None or found.report is None:
            raise NotFound("there is no report: the import had nothing to say, or has not ended")
        return Response(backend.blobs.get(found.report), media_type="application/x-ndjson")

    @get(
        "/projects/{project_id:str}/export",
        summary="Export annotations",
        media_type="application/zip",
        sync_to_thread=True,
    )
    def export_annotations(
        self,
        backend: Served,
        project_id: FromPath[str],
        form: Annotated[str, QueryParameter(name="format")],
        view_id: FromQuery[list[str] | None] = None,
        images: FromQuery[bool] = False,
        as_of: Annotated[
            int | None,
            QueryParameter(name="as_of", ge=0, description="A past position of the log"),
        ] = None,
    ) -> File:
        """A zip archive of the annotations, now or as of a position, perhaps with the images.

        Studio JSON lines hold all views, or those named by `view_id`; the others hold one.
        """
        head = backend.store.head()
        if as_of is not None and as_of > head:
            raise Invalid(f"as_of is {as_of}, and the log ends at {head}", field="as_of")
        position = head if as_of is None else as_of
        wanted = ExportRequest(project_id, form, position, tuple(view_id or ()), images)
        path = Path(tempfile.mkstemp(prefix="stemma-export-", suffix=".zip")[1])
        try:
            with path.open("wb") as file:
                export(backend.store, backend.blobs, wanted, file)
        except BaseException:
            path.unlink()
            raise
        return File(
            path,
            filename=f"{form}-at-{position}.zip",
            media_type="application/zip",
            background=BackgroundTask(path.unlink),
        )


def _ask(backend: Backend, asked: Request, command: RequestImport, path: Path) -> Response[Answer]:
    """Store the archive, then ask for its import; repeated, it is the same import."""
    import_id = str(uuid.uuid5(_NAMESPACE, f"{command.project_id}/{asked.command_id}"))
    if backend.store.find_command(asked.command_id) is None:
        backend.blobs.put_scratch_file(upload_key(import_id), path)
        backend.blobs.flush()
    outcome = handle(
        backend.store, asked, lambda session: request_import(session, command, _KNOWN, import_id)
    )
    return respond(outcome, 202)


async def _receive(request: HttpRequest, path: Path, most: int) -> None:
    """Write the request's body to a file, piece by piece. Raises `Invalid` if it is too large."""
    size = 0
    waiting: list[bytes] = []
    with path.open("wb") as file:

        def write() -> None:
            file.write(b"".join(waiting))
            waiting.clear()

        kept = 0
        async for chunk in request.stream():
            size, kept = size + len(chunk), kept + len(chunk)
            if size > most:
                raise Invalid(f"the archive is larger than {most:,} bytes; split it", field="body")
            waiting.append(chunk)
            if kept >= _PIECE:
                await asyncio.to_thread(write)
                kept = 0
        await asyncio.to_thread(write)
    if not size:
        raise Invalid("the body is empty; send the archive as the request's body", field="body")
