"""Routes for the workers of trainers, which show the token of their job: no key, no blob store."""

import asyncio
import hashlib
import tempfile
from pathlib import Path
from typing import Annotated

import msgspec
from litestar import Controller, Response, delete, get, post, put
from litestar.params import FromPath, HeaderParameter, QueryParameter
from litestar.response import Stream

from adapters.training.source_code import MOST_ARCHIVE_BYTES, read_archive
from api.access.rights import OPEN
from api.backend import Backend
from api.dataset.uploads import receive
from api.http.parameters import HttpRequest, Served
from domain.aggregates import VERSION

MOST_CHECKPOINT_BYTES = 8 << 30
MOST_PREDICTIONS_BYTES = 2 << 30
MOST_STATE_BYTES = 16 << 30
BYTES = "application/octet-stream"
_DIGEST = hashlib.sha256().digest_size

Token = Annotated[str, HeaderParameter(name="Job-Token", description="The token of the job")]
Delivery = Annotated[int, QueryParameter(name="delivery", ge=1, le=999_999)]


class StoredFile(msgspec.Struct, frozen=True):
    """The sha256 and the size of what is stored, which a report names."""

    digest: str
    bytes: int


class JobController(Controller):
    """Jobs of trainers: what their workers read and store, with the token of the job."""

    path = "/jobs/{version_id:str}"
    opt = OPEN
    include_in_schema = False

    @get("/manifest", media_type="application/x-ndjson", sync_to_thread=True)
    def get_manifest(self, backend: Served, version_id: FromPath[str], token: Token = "") -> Stream:
        """The frozen dataset: a line of JSON for each image, with its sha256 and its annotations;
        a job that is to predict gets none."""
        job = backend.jobs.job(version_id, token)
        return Stream(backend.jobs.manifest(job))

    @get("/images/{image:str}", media_type=BYTES, sync_to_thread=True)
    def get_image(
        self, backend: Served, version_id: FromPath[str], image: FromPath[str], token: Token = ""
    ) -> Response[bytes]:
        """An image of the dataset, by its key in the manifest; of a crop, the whole image."""
        job = backend.jobs.job(version_id, token)
        return Response(backend.jobs.image(job, image), media_type=BYTES)

    @get("/checkpoint", media_type=BYTES, sync_to_thread=True)
    def get_checkpoint(
        self, backend: Served, version_id: FromPath[str], token: Token = ""
    ) -> Stream:
        """The weights that the job is to predict with."""
        job = backend.jobs.job(version_id, token)
        return Stream(backend.jobs.checkpoint(job), media_type=BYTES)

    @put("/source", status_code=200, request_max_body_size=None)
    async def put_source(
        self, backend: Served, request: HttpRequest, version_id: FromPath[str], token: Token = ""
    ) -> StoredFile:
        """Store an archive of the trainer's code, before the report of the start names it."""
        await asyncio.to_thread(backend.jobs.training, version_id, token)
        with tempfile.TemporaryDirectory(prefix="stemma-upload-") as folder:
            path = Path(folder, "file")
            digest = await receive(request, path, MOST_ARCHIVE_BYTES)
            await asyncio.to_thread(read_archive, path.read_bytes())
            stream = VERSION.stream(version_id)
            await asyncio.to_thread(store_file, backend, stream, path, digest)
            return StoredFile(digest, path.stat().st_size)

    @put("/checkpoint", status_code=200, request_max_body_size=None)
    async def put_checkpoint(
        self, backend: Served, request: HttpRequest, version_id: FromPath[str], token: Token = ""
    ) -> StoredFile:
        """Store weights; only then may a report name them."""
        await asyncio.to_thread(backend.jobs.training, version_id, token)
        return await _store(backend, request, version_id, token, MOST_CHECKPOINT_BYTES)

    @put("/predictions", status_code=200, request_max_body_size=None)
    async def put_predictions(
        self, backend: Served, request: HttpRequest, version_id: FromPath[str], token: Token = ""
    ) -> StoredFile:
        """Store the scores of every image, as Parquet."""
        return await _store(backend, request, version_id, token, MOST_PREDICTIONS_BYTES)

    @post("/state/claim", media_type=BYTES, status_code=200, sync_to_thread=True)
    def claim_state(
        self, backend: Served, version_id: FromPath[str], delivery: Delivery, token: Token = ""
    ) -> Response[bytes]:
        """The state to resume from, empty if there is none; from now on earlier deliveries cannot
        save a state."""
        job = backend.jobs.training(version_id, token)
        return Response(backend.jobs.claim(job, delivery), media_type=BYTES)

    @put("/state", status_code=204, request_max_body_size=None)
    async def put_state(
        self,
        backend: Served,
        request: HttpRequest,
        version_id: FromPath[str],
        delivery: Delivery,
        token: Token = "",
    ) -> None:
        """Replace the state of this delivery, once the reports up to it are stored."""
        job = await asyncio.to_thread(backend.jobs.training, version_id, token)
        with tempfile.TemporaryDirectory(prefix="stemma-state-") as folder:
            path = Path(folder, "state")
            await receive(request, path, MOST_STATE_BYTES, offset=_DIGEST)
            await asyncio.to_thread(backend.jobs.save, job, delivery, path)

    @delete("/state", sync_to_thread=True)
    def delete_state(self, backend: Served, version_id: FromPath[str], token: Token = "") -> None:
        """Delete the state to resume from: the training has ended."""
        backend.jobs.forget(backend.jobs.training(version_id, token, ended=True))


async def _store(
    backend: Served, request: HttpRequest, version_id: str, token: str, most: int
) -> StoredFile:
    await asyncio.to_thread(backend.jobs.job, version_id, token)
    with tempfile.TemporaryDirectory(prefix="stemma-upload-") as folder:
        path = Path(folder, "file")
        digest = await receive(request, path, most)
        await asyncio.to_thread(store_file, backend, VERSION.stream(version_id), path, digest)
        return StoredFile(digest, path.stat().st_size)


def store_file(backend: Backend, stream: str, path: Path, digest: str) -> None:
    """Store a file under its sha256, and note that it was uploaded for this stream: only then may
    a report or a request about it name the file."""
    backend.blobs.put_file(path)
    backend.blobs.flush()
    backend.uploaded.note(stream, digest)
