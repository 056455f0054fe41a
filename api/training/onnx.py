"""Routes of a version's ONNX file, which a worker makes on request."""

import asyncio
from typing import Literal

import msgspec
from litestar import Controller, Response, get, post
from litestar.params import FromPath

from adapters.blobs.blobs import BlobCorrupt, BlobMissing
from api.access.long_polls import once_ended
from api.access.rights import needs
from api.backend import Backend
from api.http.commands import CommandResult, Named, named
from api.http.parameters import HttpRequest, Served, Wait
from api.http.ranges import whole_or_part
from application.log.store import END
from domain.access.roles import Right
from domain.aggregates import VERSION
from domain.errors import Conflict
from domain.event import name_of
from domain.training.messages import Purpose
from domain.training.onnx import RequestOnnx, VersionOnnxMade
from domain.training.predictions import Prediction
from domain.training.version import BatchMetricsRecorded, TrainingStepAdvanced, require
from projections.training.models_library import MODELS_LIBRARY

RUNNING = frozenset({"queued", "running"})
_WITHOUT = [name_of(BatchMetricsRecorded), name_of(TrainingStepAdvanced)]
"""The many events of a training that the file has nothing to do with."""

OnnxStatus = Literal["none", "queued", "running", "made", "failed"]


class OnnxView(msgspec.Struct, frozen=True):
    """The ONNX file of a version: `onnx` is its sha256, and `checkpoint` that of its weights.

    `status` is `none` before the first request. `difference` is the largest to torch's outputs on
    `images` of the dataset; `reason` is why the newest request failed.
    """

    status: OnnxStatus
    onnx: str | None
    checkpoint: str | None
    bytes: int | None
    images: int | None
    difference: float | None
    reason: str | None


class OnnxController(Controller):
    """A version's network as an ONNX file, for programs without torch."""

    path = "/versions/{version_id:str}"
    tags = ("Versions",)
    dependencies = named(VERSION)

    @post(
        "/onnx",
        summary="Request an ONNX file",
        sync_to_thread=True,
        opt=needs(Right.TRAIN, of="version_id"),
    )
    def request_onnx(self, version: Named) -> Response[CommandResult]:
        """Let a worker make an ONNX file of the saved checkpoint, and compare it with torch.

        It is made once; where it is there, or is being made, nothing happens again.
        """
        return version.change(RequestOnnx())

    @get("/onnx", summary="The ONNX file's state", opt=needs(Right.READ, of="version_id"))
    async def get_onnx(
        self, backend: Served, request: HttpRequest, version_id: FromPath[str], wait: Wait = 0
    ) -> OnnxView:
        """Whether there is an ONNX file, or a worker makes it, or why it could not."""

        async def look() -> OnnxView:
            return _view(await asyncio.to_thread(_newest, backend, version_id))

        return await once_ended(
            backend,
            request,
            look,
            lambda view: view.status not in RUNNING,
            wait,
            MODELS_LIBRARY,
        )

    @get(
        "/model.onnx",
        summary="Download the ONNX file",
        media_type="application/octet-stream",
        sync_to_thread=True,
        opt=needs(Right.READ, of="version_id"),
    )
    def download_onnx(
        self, backend: Served, request: HttpRequest, version_id: FromPath[str]
    ) -> Response[bytes]:
        """The ONNX file; `ETag` is its sha256. Its metadata describes preprocessing and outputs.

        A `Range` from a byte on continues a download; `If-Range` with the `ETag` ensures that it is
        the same file.
        """
        newest = _newest(backend, version_id)
        if newest is None or newest.onnx is None:
            raise Conflict("the version has no ONNX file yet; request it")
        made = newest.onnx
        try:
            content = backend.blobs.get(made.onnx)
        except (BlobMissing, BlobCorrupt) as error:
            raise Conflict(f"the ONNX file that was made cannot be read: {error}") from error
        name = f"version-{made.checkpoint[:12]}.onnx"
        return whole_or_part(
            request,
            content,
            etag=made.onnx,
            media_type="application/octet-stream",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )


def _newest(backend: Backend, version_id: str) -> Prediction | None:
    """The newest request, from the log. Raises `NotFound`."""
    stream = VERSION.stream(version_id)
    events = backend.store.histories([stream], upto=END, without=_WITHOUT)
    version = require(VERSION.fold(recorded.event for recorded in events))
    return version.predictions.get(Purpose.ONNX)


def _view(newest: Prediction | None) -> OnnxView:
    made = newest.onnx if newest else None
    return OnnxView(
        _status(newest),
        made.onnx if made else None,
        made.checkpoint if made else None,
        made.bytes if made else None,
        made.images if made else None,
        made.difference if made else None,
        newest.reason if newest else None,
    )


def _status(newest: Prediction | None) -> OnnxStatus:
    if newest is None:
        return "none"
    if newest.running:
        return "running" if newest.delivery else "queued"
    return "made" if isinstance(newest.onnx, VersionOnnxMade) else "failed"
