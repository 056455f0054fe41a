"""Uploads of archives: received, stored in the blob store, and their import requested."""

import asyncio
import hashlib
import uuid
from pathlib import Path

from litestar import Response

from adapters.dataset.imports.requested import find_requested, upload_key
from adapters.formats.registry import FORMATS
from api.backend import Backend
from api.http.commands import CommandResult, respond
from api.http.parameters import HttpRequest
from application.dataset.imports import request_import
from application.handle import Request, Session, handle
from domain.dataset.imports import REQUESTED, RequestImport
from domain.errors import Invalid, Refusal

KNOWN = frozenset(FORMATS)
_PIECE = 1 << 20
_NAMESPACE = uuid.UUID("7a5cb0ae-1f0c-4bb6-9a53-5f0a4a9f2d61")


def refuse_early(backend: Backend, request: Request, command: RequestImport) -> None:
    """Refuse an import that would fail anyway before its archive is uploaded."""
    if backend.store.find_command(request.command_id) is None:
        request_import(Session(backend.store, request), command, KNOWN)


def ask(
    backend: Backend, request: Request, command: RequestImport, path: Path
) -> Response[CommandResult]:
    """Store the archive, then request its import; a repeated request is the same import.

    The import's id depends on the archive: another archive under the same key has another id.
    """
    name = f"{command.project_id}/{request.command_id}/{request.fingerprint}"
    import_id = str(uuid.uuid5(_NAMESPACE, name))
    key = upload_key(import_id)
    if backend.store.find_command(request.command_id) is None:
        backend.blobs.put_scratch_file(key, path)
        backend.blobs.flush()
    try:
        outcome = handle(
            backend.store,
            request,
            lambda session: request_import(session, command, KNOWN, import_id),
        )
    except Refusal:
        backend.blobs.delete_scratch(key)
        raise
    # The same request may have arrived twice at once, and its import may have ended already.
    if find_requested(backend.store, outcome.id)[1].status != REQUESTED:
        backend.blobs.delete_scratch(key)
    return respond(outcome, 202)


async def receive(request: HttpRequest, path: Path, most: int, *, offset: int = 0) -> str:
    """Write the request's body to a file, piece by piece, and return its sha256.

    The file begins with `offset` bytes that are none of the body's. Raises `Invalid` if it is too
    large or empty.
    """
    too_large = Invalid(f"the body is larger than {most:,} bytes", field="body")
    if (request.content_length or 0) > most:
        raise too_large
    size = 0
    digest = hashlib.sha256()
    waiting: list[bytes] = []
    with path.open("wb") as file:
        file.write(bytes(offset))

        def write() -> None:
            piece = b"".join(waiting)
            waiting.clear()
            digest.update(piece)
            file.write(piece)

        kept = 0
        async for chunk in request.stream():
            size, kept = size + len(chunk), kept + len(chunk)
            if size > most:
                raise too_large
            waiting.append(chunk)
            if kept >= _PIECE:
                await asyncio.to_thread(write)
                kept = 0
        await asyncio.to_thread(write)
    if not size:
        raise Invalid("the body is empty; send the file as the request's body", field="body")
    return digest.hexdigest()
