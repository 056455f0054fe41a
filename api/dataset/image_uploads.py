"""Uploads of images: each is decoded in another process, then all are added, or none."""

import asyncio
from functools import partial
from http import HTTPStatus

import msgspec
from litestar import Response
from litestar.datastructures import UploadFile

from adapters.images.decoders import Decoder
from adapters.uploads.image_files import ImageLimits, accept_image
from api.backend import Backend
from api.http.commands import CommandResult, carry_out
from api.http.parameters import HttpRequest
from api.http.problems import FieldError, Refusals
from application.dataset.erasure import erased_among
from application.dataset.projects import add_images
from domain.dataset.blob import refuse_erased
from domain.dataset.image import AddImage
from domain.errors import Invalid


class Accepted(msgspec.Struct, frozen=True):
    """An uploaded image that can be read. Its bytes are still in the upload: a request may hold
    more of them than there is memory."""

    upload: UploadFile
    digest: str
    width: int
    height: int
    highest_grey: int | None


async def add_uploads(
    backend: Backend, request: HttpRequest, project_id: str, uploads: list[UploadFile]
) -> Response[CommandResult]:
    """Add the images to a project. While they wait for a decoder, they hold no thread."""
    if not uploads:
        raise Invalid("send files, as multipart form data", field="files")
    accepted, errors = [], []
    for upload in uploads:
        try:
            accepted.append(await backend.decoders.run(partial(_accept, upload, backend.limits)))
        except Invalid as refusal:
            errors.append(FieldError(upload.filename, refusal.detail))
    if errors:
        details = "; ".join(error.detail for error in errors[:5])
        raise Refusals(f"{len(errors):,} of {len(uploads):,} files were refused: {details}", errors)
    return await asyncio.to_thread(_add, backend, request, project_id, accepted)


def _accept(upload: UploadFile, limits: ImageLimits, decoder: Decoder) -> Accepted:
    data = _read(upload, limits.max_bytes + 1)
    file = accept_image(upload.filename, data, limits, decoder.inspect)
    return Accepted(upload, file.digest, file.width, file.height, file.highest_grey)


def _add(
    backend: Backend, request: HttpRequest, project_id: str, accepted: list[Accepted]
) -> Response[CommandResult]:
    for erased in erased_among(backend.store, {file.digest for file in accepted}).values():
        refuse_erased(erased)
    additions = [
        AddImage(
            project_id,
            backend.blobs.put(_read(file.upload, -1)),
            file.width,
            file.height,
            file.upload.filename,
        )
        for file in accepted
    ]
    backend.blobs.flush()
    greys = [file.highest_grey for file in accepted if file.highest_grey is not None]
    highest_grey = max(greys, default=None)
    return carry_out(
        backend,
        request,
        additions,
        lambda session: add_images(session, project_id, additions, highest_grey),
        status_code=HTTPStatus.CREATED,
    )


def _read(upload: UploadFile, size: int) -> bytes:
    upload.file.seek(0)
    return upload.file.read(size)
