"""Routes of what is taken away of a version: its checkpoint, description and model card."""

from litestar import Controller, Response, get
from litestar.params import FromPath
from litestar.response import Stream

from adapters.blobs.blobs import BlobCorrupt, BlobMissing
from api.access.rights import needs
from api.http.parameters import HttpRequest, Served
from api.http.ranges import whole_or_part
from application.training.histories import describe, history_of
from application.training.model_card import model_card
from application.training.trainer_card import trainer_card
from domain.access.roles import Right
from domain.errors import Conflict, NotFound
from domain.trainers.trainer import ENDINGS, SAFETENSORS
from domain.training.model_description import ModelDescription
from domain.training.version import CANCELLED
from projections.training.library_queries import find_version
from projections.training.models_library import MODELS_LIBRARY


class TakeAwayController(Controller):
    """A finished version's checkpoint and description."""

    path = "/versions"
    tags = ("Versions",)

    @get(
        "/{version_id:str}/model.json",
        summary="Describe a model",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def get_model_description(self, backend: Served, version_id: FromPath[str]) -> ModelDescription:
        """How to use the checkpoint and how it was made, computed from the log."""
        return describe(history_of(backend.store, version_id))

    @get(
        "/{version_id:str}/model-card",
        summary="A model card",
        media_type="text/markdown",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def get_model_card(self, backend: Served, version_id: FromPath[str]) -> Response[str]:
        """The description as Markdown; of a user's own trainer, what the log has of it."""
        history = history_of(backend.store, version_id)
        own = history.created.trainer is not None
        card = trainer_card(history) if own else model_card(describe(history))
        return Response(card, media_type="text/markdown; charset=utf-8")

    @get(
        "/{version_id:str}/manifest",
        summary="The dataset of a version",
        media_type="application/x-ndjson",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def get_training_manifest(self, backend: Served, version_id: FromPath[str]) -> Stream:
        """A JSON line for each image or crop of its training and validation sets: its file's
        sha256, its split and its annotations. The sha256 of all lines is the version's
        `manifest`."""
        with backend.reading(None, MODELS_LIBRARY) as (connection, _):
            version = find_version(connection, version_id)
        if version is None:
            raise NotFound("version not found")
        if version.manifest is None:
            raise Conflict(f"the version is {version.status}, and its dataset is not frozen yet")
        return Stream(
            backend.blobs.read_compressed(version.manifest),
            media_type="application/x-ndjson",
            headers={
                "Content-Disposition": f'attachment; filename="version-{version.number}.jsonl"',
                "ETag": f'"{version.manifest}"',
            },
        )

    @get(
        "/{version_id:str}/checkpoint",
        summary="Download the saved checkpoint",
        media_type="application/octet-stream",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def download_checkpoint(
        self, backend: Served, request: HttpRequest, version_id: FromPath[str]
    ) -> Response[bytes]:
        """The weights with the best indicator; `ETag` is their sha256. They are safetensors, or in
        the format of the version's trainer.

        A `Range` from a byte on continues a download; `If-Range` with the `ETag` ensures that it is
        the same file.
        """
        with backend.reading(None, MODELS_LIBRARY) as (connection, _):
            version = find_version(connection, version_id)
        if version is None:
            raise NotFound("version not found")
        if version.status == CANCELLED:
            raise Conflict("the version was cancelled: its weights were discarded")
        if version.checkpoint is None:
            raise Conflict(f"the version is {version.status} and has saved no checkpoint yet")
        ending = ENDINGS[version.trainer.format] if version.trainer else SAFETENSORS
        file_name = f"version-{version.number}-{version.checkpoint[:12]}.{ending}"
        try:
            weights = backend.blobs.get(version.checkpoint)
        except (BlobMissing, BlobCorrupt) as error:
            raise Conflict(f"the reported checkpoint cannot be read: {error}") from error
        return whole_or_part(
            request,
            weights,
            etag=version.checkpoint,
            media_type="application/octet-stream",
            headers={"Content-Disposition": f'attachment; filename="{file_name}"'},
        )
