"""The route of exports: annotations as a file, as of now or of a past moment."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.metadata import version
from typing import IO, Annotated

import msgspec
from litestar import Controller, get
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Stream

from adapters.dataset.exports import ExportRequest, export
from api.access.rights import needs
from api.backend import Backend
from api.http.parameters import AsOf, HttpRequest, Served
from api.http.ranges import part_of
from domain.access.roles import Right
from domain.aggregates import PROJECT
from domain.errors import NotFound

PIECE = 1 << 20


class ExportController(Controller):
    """Export of annotations."""

    tags = ("Imports and exports",)

    @get(
        "/projects/{project_id:str}/export",
        summary="Export annotations",
        media_type="application/zip",
        sync_to_thread=True,
        opt=needs(Right.READ, of="project_id"),
    )
    def export_annotations(
        self,
        backend: Served,
        request: HttpRequest,
        project_id: FromPath[str],
        form: Annotated[str, QueryParameter(name="format")],
        view_id: FromQuery[list[str] | None] = None,
        images: FromQuery[bool] = False,
        concept_id: FromQuery[list[str] | None] = None,
        as_of: AsOf = None,
    ) -> Stream:
        """A zip archive of the annotations, now or as of a moment, optionally with the images.

        Studio JSON lines contain all views but archived ones, or those given by `view_id`; other
        formats contain one. With `concept_id`, one view is exported as if it had only these
        concepts: an image that is annotated with others only is without concept, or in a
        classification view not annotated. The same export of the same moment is the same file: with
        `as_of`, a `Range` from a byte on continues a download, and `If-Range` with the `ETag` makes
        sure that it is of that file.
        """
        position = _position(backend, as_of)
        stream = PROJECT.stream(project_id)
        if not backend.store.streams([stream], upto=position)[stream]:
            raise NotFound(f"project not found at position {position}")
        export_request = ExportRequest(
            project_id, form, position, tuple(view_id or ()), images, tuple(concept_id or ())
        )
        with ExitStack() as opened:
            file = opened.enter_context(tempfile.TemporaryFile(prefix="stemma-export-"))
            export(backend.store, backend.blobs, export_request, file)
            opened.pop_all()
        part = part_of(request, etag_of(export_request), file.tell())
        return Stream(
            _pieces(file, part.first, part.length),
            status_code=part.status_code,
            media_type="application/zip",
            headers=part.headers
            | {
                "Content-Disposition": f'attachment; filename="{form}-at-{position}.zip"',
                "Content-Length": str(part.length),
            },
        )


def etag_of(request: ExportRequest) -> str:
    """What tells an export from every other one: the file follows from it, and from the release
    that writes it."""
    content = msgspec.json.encode((version("stemma"), request))
    return hashlib.sha256(content).hexdigest()


def _position(backend: Backend, as_of: str | None) -> int:
    if as_of is None:
        return backend.store.head()
    with backend.reading_as_of(as_of, None) as (_, position, _):
        return position


def _pieces(file: IO[bytes], first: int, length: int) -> Iterator[bytes]:
    """So many bytes of a temporary file in pieces; it is deleted at the end."""
    with file:
        file.seek(first)
        while length and (piece := file.read(min(PIECE, length))):
            length -= len(piece)
            yield piece
