"""Routes of imports: request, progress, and report."""

import asyncio
import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from litestar import Controller, Response, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response import Stream

from adapters.dataset.imports.progress import ImportProgress, progress_of
from adapters.dataset.imports.run import inside_roots
from api.access.long_polls import once_ended
from api.access.rights import needs
from api.dataset.schemas import Imports, ImportView, NewImport
from api.dataset.uploads import KNOWN, ask, receive, refuse_early
from api.http.commands import CommandResult, carry_out, envelope
from api.http.parameters import AtLeast, Cursor, HttpRequest, Limit, Served, Wait, position_in
from application.dataset.imports import request_import
from domain.access.roles import Right
from domain.dataset.imports import NEGATIVE, REQUESTED, ImportRules, RequestImport
from domain.errors import NotFound
from domain.text import refuse_controls
from projections.dataset.imports import IMPORTS, find_import, list_imports

ImportStatus = Literal["requested", "completed", "checked", "refused", "failed"]


class ImportController(Controller):
    """Imports of images and annotations."""

    tags = ("Imports and exports",)

    @post(
        "/projects/{project_id:str}/imports/upload",
        summary="Upload an archive or video and import it",
        status_code=202,
        request_max_body_size=None,
        opt=needs(Right.ANNOTATE, of="project_id"),
    )
    async def upload_import(
        self,
        backend: Served,
        request: HttpRequest,
        project_id: FromPath[str],
        name: Annotated[
            str, QueryParameter(name="name", min_length=1, description="The archive's file name")
        ],
        view: FromQuery[str | None] = None,
        form: Annotated[str, QueryParameter(name="format")] = "auto",
        kind: FromQuery[str | None] = None,
        new_concepts: FromQuery[bool] = True,
        skip_bad: FromQuery[bool] = False,
        clip: FromQuery[bool] = False,
        dry_run: FromQuery[bool] = False,
        unlabelled: FromQuery[str] = NEGATIVE,
        origin: FromQuery[int | None] = None,
        frame_rate: FromQuery[float] = 1.0,
        scenes: FromQuery[bool] = False,
    ) -> Response[CommandResult]:
        """The body is a zip or a tar archive, optionally compressed, or a video. The answer's `id`
        is the import's.

        A video (MP4, MOV, AVI, WebM) becomes `frame_rate` images per second or, with `scenes`, the
        first of each scene; `video`, `time` and `frame` are their metadata.

        The import runs afterwards: `GET /imports/{id}` has its progress and its result.
        """
        refuse_controls(name, "name")
        rate = None if scenes else frame_rate
        rules = ImportRules(
            form, kind, new_concepts, skip_bad, clip, dry_run, unlabelled, origin, rate
        )
        command = RequestImport(project_id, name, False, view, rules)
        import_request = envelope(request, command)
        await asyncio.to_thread(refuse_early, backend, import_request, command)
        with tempfile.TemporaryDirectory(prefix="stemma-upload-") as folder:
            path = Path(folder) / "archive"
            digest = await receive(request, path, backend.max_import_bytes)
            import_request = msgspec.structs.replace(
                import_request, fingerprint=f"{import_request.fingerprint} {digest}"
            )
            return await asyncio.to_thread(ask, backend, import_request, command, path)

    @post(
        "/projects/{project_id:str}/imports",
        summary="Import a folder or archive on the server",
        status_code=202,
        sync_to_thread=True,
        opt=needs(Right.ANNOTATE, of="project_id"),
    )
    def create_import(
        self,
        backend: Served,
        request: HttpRequest,
        project_id: FromPath[str],
        data: JSONBody[NewImport],
    ) -> Response[CommandResult]:
        """Import from a folder that the server may read: its operator sets STEMMA_IMPORT_ROOTS."""
        refuse_controls(data.source, "source")
        source = str(inside_roots(data.source, backend.import_roots))
        rules = ImportRules(
            data.format,
            data.kind,
            data.new_concepts,
            data.skip_bad,
            data.clip,
            data.dry_run,
            data.unlabelled,
            data.origin,
            data.frame_rate,
        )
        command = RequestImport(project_id, source, True, data.view, rules)
        return carry_out(
            backend,
            request,
            data,
            lambda session: request_import(session, command, KNOWN),
            status_code=202,
        )

    @get(
        "/projects/{project_id:str}/imports",
        summary="List imports",
        sync_to_thread=True,
        opt=needs(Right.READ, of="project_id"),
    )
    def list_imports(
        self,
        backend: Served,
        project_id: FromPath[str],
        status: FromQuery[ImportStatus | None] = None,
        cursor: Cursor = None,
        limit: Limit = 50,
        at_least: AtLeast = None,
    ) -> Imports:
        """A project's imports, newest first; with `status` only those that are or ended so."""
        before = position_in(cursor)
        with backend.reading(at_least, IMPORTS) as (connection, position):
            items = list_imports(connection, project_id, status=status, before=before, limit=limit)
        following = str(items[-1].requested_position) if len(items) == limit else None
        return Imports(items, following, position)

    @get(
        "/imports/{import_id:str}",
        summary="An import",
        opt=needs(Right.READ, of="import_id"),
    )
    async def get_import(
        self,
        backend: Served,
        request: HttpRequest,
        import_id: FromPath[str],
        wait: Wait = 0,
        at_least: AtLeast = None,
    ) -> ImportView:
        """The result of an import, or its progress."""

        def read() -> ImportView:
            with backend.reading(at_least, IMPORTS) as (connection, position):
                row = find_import(connection, import_id)
                progress: ImportProgress | None = progress_of(connection, import_id)
            if row is None:
                raise NotFound("import not found")
            return ImportView(row, progress, position)

        return await once_ended(
            backend,
            request,
            partial(asyncio.to_thread, read),
            lambda shown: shown.item.status != REQUESTED,
            wait,
            IMPORTS,
        )

    @get(
        "/imports/{import_id:str}/report",
        summary="All problems, images left out and notes of an import",
        media_type="application/x-ndjson",
        sync_to_thread=True,
        opt=needs(Right.READ, of="import_id"),
    )
    def get_import_report(self, backend: Served, import_id: FromPath[str]) -> Stream:
        """JSON lines of `kind` (problem, left_out or note), `where` and `text`."""
        with backend.reading(None, IMPORTS) as (connection, _):
            row = find_import(connection, import_id)
        if row is None or row.report is None:
            raise NotFound("the import has no report: it had nothing to report, or has not ended")
        return Stream(
            backend.blobs.chunks(row.report),
            media_type="application/x-ndjson",
            headers={"Content-Disposition": f'attachment; filename="import-{import_id}.jsonl"'},
        )
