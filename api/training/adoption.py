"""Routes that bring a model which was trained before Stemma: its files, then the version."""

import asyncio
import hashlib
import tempfile
from pathlib import Path
from typing import Annotated, Any

import msgspec
from litestar import Controller, Response, get, post
from litestar.params import FromPath, JSONBody
from litestar.response import Stream
from msgspec import Meta

from api.access.rights import needs
from api.backend import Backend
from api.dataset.uploads import receive
from api.http.commands import CommandResult, carry_out
from api.http.parameters import HttpRequest, Served
from api.http.schemas import Strict
from api.known_trainers import listing_trainers
from api.training.jobs import MOST_CHECKPOINT_BYTES, StoredFile, store_file
from application.handle import Decided, Session
from application.training.trainers import TrainerChoice
from application.training.versions import dataset_of_view, train_view
from domain.access.roles import Right
from domain.aggregates import VIEW
from domain.errors import Invalid
from domain.training.adoption import Adoption, check_adoption
from domain.training.manifest import canonical_line
from domain.training.version import Version

Sha256 = Annotated[str, Meta(examples=[hashlib.sha256(b"").hexdigest()])]


class NewAdoption(Strict, frozen=True, kw_only=True):
    """A model to adopt. The digests are those of files that were uploaded for this view: the
    weights, and a Parquet file with the scores of every image of the dataset.

    `settings` are those that are known, by the keys of the trainer's form.
    """

    trainer: Annotated[str, Meta(examples=["acme/logreg"])]
    checkpoint: Sha256
    predictions: Sha256
    name: Annotated[str | None, Meta(examples=["of last year"])] = None
    settings: Annotated[dict[str, Any], Meta(examples=[{}])] = msgspec.field(default_factory=dict)


class AdoptionController(Controller):
    """Models that were trained before Stemma."""

    path = "/views/{view_id:str}"
    tags = ("Versions",)

    @get(
        "/dataset",
        summary="The dataset of a view",
        media_type="application/x-ndjson",
        sync_to_thread=True,
        opt=needs(Right.READ, of="view_id"),
    )
    def get_view_dataset(self, backend: Served, view_id: FromPath[str]) -> Stream:
        """A JSON line for each image or crop that a version of the current model would have, if it
        were created now: what `GET /versions/{id}/manifest` gives of a version."""
        lines = dataset_of_view(backend.store, view_id)
        return Stream(map(canonical_line, lines), media_type="application/x-ndjson")

    @post(
        "/adopted-files",
        summary="Upload a file of a model to adopt",
        status_code=201,
        request_max_body_size=None,
        opt=needs(Right.TRAIN, of="view_id"),
    )
    async def upload_adopted_file(
        self, backend: Served, request: HttpRequest, view_id: FromPath[str]
    ) -> StoredFile:
        """The body is the file: weights in any format, or predictions. It is kept for a day; a
        version that names its digest keeps it for good."""
        await asyncio.to_thread(dataset_of_view, backend.store, view_id)  # refused early
        with tempfile.TemporaryDirectory(prefix="stemma-upload-") as folder:
            path = Path(folder, "file")
            digest = await receive(request, path, MOST_CHECKPOINT_BYTES)
            await asyncio.to_thread(store_file, backend, VIEW.stream(view_id), path, digest)
            return StoredFile(digest, path.stat().st_size)

    @post(
        "/adoptions",
        summary="Adopt a model",
        status_code=201,
        sync_to_thread=True,
        opt=needs(Right.TRAIN, of="view_id"),
    )
    def create_adopted_version(
        self,
        backend: Served,
        request: HttpRequest,
        view_id: FromPath[str],
        data: JSONBody[NewAdoption],
    ) -> Response[CommandResult]:
        """A version of the view's current model that is not trained: the server freezes the
        dataset, measures the predictions, and the version is ready, marked as adopted."""
        choice = TrainerChoice(data.trainer, data.settings)

        def decide(session: Session) -> Decided[Version]:
            adoption = _adoption(backend, view_id, data)
            return train_view(session, view_id, data.name, {}, trainer=choice, adopted=adoption)

        with listing_trainers(backend):
            return carry_out(backend, request, data, decide, status_code=201)


def _adoption(backend: Backend, view_id: str, data: NewAdoption) -> Adoption:
    """Raises `Invalid` for a file that was not uploaded for this view, whether it is stored or
    not."""
    check_adoption(Adoption(data.checkpoint, 0, data.predictions))
    sizes = {}
    for field in ("checkpoint", "predictions"):
        digest = getattr(data, field)
        uploaded = backend.uploaded.has(VIEW.stream(view_id), digest)
        size = backend.blobs.size(digest) if uploaded else None
        if size is None:
            raise Invalid(
                f"no file {digest} was uploaded for this view, or it was discarded since; upload it"
                f" with POST /api/v1/views/{view_id}/adopted-files",
                field=field,
            )
        sizes[field] = size
    return Adoption(data.checkpoint, sizes["checkpoint"], data.predictions)
