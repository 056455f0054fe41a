"""Routes of a trainer's code, as its worker declares it: the archive, and what differs."""

from litestar import Controller, Response, get
from litestar.params import FromPath

from adapters.training.declared_code import (
    CodeComparison,
    DeclaredCode,
    compare_code,
    declared_code,
    read_source,
)
from api.access.guard import demand
from api.access.rights import needs
from api.http.parameters import HttpRequest, Served
from domain.access.roles import Right
from domain.aggregates import VERSION
from domain.errors import NotFound

ARCHIVE = "application/gzip"


class CodeController(Controller):
    """The code of trainers."""

    path = "/versions/{version_id:str}"
    tags = ("Versions",)

    @get(
        "/code",
        summary="The declared code of a version",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def get_code(self, backend: Served, version_id: FromPath[str]) -> DeclaredCode:
        """Commit, difference, lock file, command, account and packages, as its worker declares
        them."""
        return declared_code(backend.store, version_id)

    @get(
        "/source",
        summary="Download the source archive of a version",
        media_type=ARCHIVE,
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def download_source(self, backend: Served, version_id: FromPath[str]) -> Response[bytes]:
        """The archive of the trainer's code, a tar with gzip; `ETag` is its sha256."""
        source = declared_code(backend.store, version_id).source
        if source is None:
            raise NotFound("the version has no archive of its code")
        return Response(
            read_source(backend.blobs, source),
            media_type=ARCHIVE,
            headers={
                "Content-Disposition": f'attachment; filename="source-{source[:12]}.tar.gz"',
                "ETag": f'"{source}"',
            },
        )

    @get(
        "/compare/{other_id:str}/code",
        summary="Compare the code of two versions",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def compare_code(
        self,
        backend: Served,
        request: HttpRequest,
        version_id: FromPath[str],
        other_id: FromPath[str],
    ) -> CodeComparison:
        """What their workers declare differently, and the files that differ, with their lines."""
        demand(backend, request.user, Right.READ, VERSION.stream(other_id))
        return compare_code(backend.store, backend.blobs, version_id, other_id)
