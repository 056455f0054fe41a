"""Routes for workers, which show the token of their job: no key, no blob store."""

import asyncio
import tempfile
from collections import deque
from pathlib import Path
from typing import Annotated

import msgspec
from litestar import Controller, Response, delete, get, post, put
from litestar.params import FromPath, HeaderParameter, QueryParameter
from litestar.response import Stream

from adapters.training.job_access import MOST_IN_A_PACK
from adapters.training.resume_states import DIGEST_BYTES
from adapters.training.source_code import MOST_ARCHIVE_BYTES, read_archive
from api.access.rights import OPEN
from api.backend import Backend
from api.dataset.uploads import receive
from api.http.parameters import HttpRequest, Served
from domain.aggregates import VERSION
from domain.errors import NotFound

MOST_CHECKPOINT_BYTES = 8 << 30
MOST_PREDICTIONS_BYTES = 2 << 30
MOST_STATE_BYTES = 16 << 30
BYTES = "application/octet-stream"

Token = Annotated[str, HeaderParameter(name="Job-Token", description="The token of the job")]
Delivery = Annotated[int, QueryParameter(name="delivery", ge=1, le=999_999)]


class HandedBack(msgspec.Struct, frozen=True):
    """How often workers handed a job back on purpose."""

    deliveries: int


class StoredFile(msgspec.Struct, frozen=True):
    """The sha256 and the size of what is stored, which a report names."""

    digest: str
    bytes: int


class JobController(Controller):
    """Jobs: what their workers read and store, with the token of the job."""

    path = "/jobs/{version_id:str}"
    opt = OPEN
    include_in_schema = False

    @get("/manifest", media_type="application/x-ndjson", sync_to_thread=True)
    def get_manifest(
        self, backend: Served, version_id: FromPath[str], token: Token = ""
    ) -> Response[bytes]:
        """The frozen dataset: a line of JSON for each image, with its sha256 and its annotations; a
        trainer's job that is to predict gets none."""
        job = backend.jobs.job(version_id, token)
        return Response(backend.jobs.manifest(job), media_type="application/x-ndjson")

    @get("/images/{image:str}", media_type=BYTES, sync_to_thread=True)
    def get_image(
        self, backend: Served, version_id: FromPath[str], image: FromPath[str], token: Token = ""
    ) -> Response[bytes]:
        """An image of the dataset, by its key in the manifest; of a crop, the whole image."""
        job = backend.jobs.job(version_id, token)
        return Response(backend.jobs.image(job, image), media_type=BYTES)

    @get("/images", media_type=BYTES, sync_to_thread=True)
    def get_images(
        self,
        backend: Served,
        version_id: FromPath[str],
        first: Annotated[int, QueryParameter(name="first", ge=0)],
        count: Annotated[int, QueryParameter(name="count", ge=1, le=MOST_IN_A_PACK)],
        token: Token = "",
    ) -> Stream:
        """Several files of images in one answer, from number `first` on: each a length of 8 bytes,
        signed and big-endian, and the content; -1 is one that was erased, -2 a damaged one."""
        job = backend.jobs.job(version_id, token)
        return Stream(backend.jobs.pack(job, first, count), media_type=BYTES)

    @get("/missing", sync_to_thread=True)
    def get_missing(
        self, backend: Served, version_id: FromPath[str], token: Token = ""
    ) -> list[str]:
        """The digests of the dataset's files that were erased: what has a copy deletes it."""
        return backend.jobs.missing(backend.jobs.job(version_id, token))

    @get("/files/{digest:str}", media_type=BYTES, sync_to_thread=True)
    def get_file(
        self, backend: Served, version_id: FromPath[str], digest: FromPath[str], token: Token = ""
    ) -> Stream:
        """Weights to start from, the version's checkpoint, or what was stored for this job."""
        job = backend.jobs.job(version_id, token)
        stream = VERSION.stream(version_id)
        if digest in job.files:
            # A worker that goes on with a checkpoint may name it again.
            backend.uploaded.note(stream, digest)
        elif not backend.uploaded.has(stream, digest):
            raise NotFound(f"no file {digest} belongs to the job")
        # Checked whole first: an answer that breaks off looks like a lost connection.
        deque(backend.blobs.chunks(digest), maxlen=0)
        return Stream(backend.blobs.chunks(digest), media_type=BYTES)

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
        return await _store(backend, request, version_id, token, MOST_CHECKPOINT_BYTES)

    @put("/predictions", status_code=200, request_max_body_size=None)
    async def put_predictions(
        self, backend: Served, request: HttpRequest, version_id: FromPath[str], token: Token = ""
    ) -> StoredFile:
        """Store the scores of every image, as Parquet."""
        await asyncio.to_thread(backend.jobs.job, version_id, token)
        return await _receive(backend, request, version_id, MOST_PREDICTIONS_BYTES)

    @put("/items", status_code=200, request_max_body_size=None)
    async def put_items(
        self, backend: Served, request: HttpRequest, version_id: FromPath[str], token: Token = ""
    ) -> StoredFile:
        """Store the items of an epoch, as Parquet."""
        return await _store(backend, request, version_id, token, MOST_PREDICTIONS_BYTES)

    @put("/onnx", status_code=200, request_max_body_size=None)
    async def put_onnx(
        self, backend: Served, request: HttpRequest, version_id: FromPath[str], token: Token = ""
    ) -> StoredFile:
        """Store the ONNX file of a job that asks for one."""
        return await _store(backend, request, version_id, token, MOST_CHECKPOINT_BYTES)

    @post("/state/claim", media_type=BYTES, status_code=200, sync_to_thread=True)
    def claim_state(
        self, backend: Served, version_id: FromPath[str], delivery: Delivery, token: Token = ""
    ) -> Response[bytes]:
        """The state to resume from, empty if there is none; from now on earlier deliveries cannot
        save a state."""
        job = backend.jobs.training(version_id, token)
        return Response(backend.jobs.states(job).claim(delivery), media_type=BYTES)

    @post("/state/check", status_code=204, sync_to_thread=True)
    def check_state(
        self, backend: Served, version_id: FromPath[str], delivery: Delivery, token: Token = ""
    ) -> None:
        """Whether this delivery is still the newest: 409 if not."""
        backend.jobs.states(backend.jobs.job(version_id, token)).check(delivery)

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
            await receive(request, path, MOST_STATE_BYTES, offset=DIGEST_BYTES)
            await asyncio.to_thread(backend.jobs.states(job).save, delivery, path)

    @delete("/state", sync_to_thread=True)
    def delete_state(self, backend: Served, version_id: FromPath[str], token: Token = "") -> None:
        """Delete the state to resume from: the training has ended."""
        backend.jobs.forget(backend.jobs.job(version_id, token, ended=True))

    @put("/handed-back", status_code=204, sync_to_thread=True)
    def put_handed_back(
        self, backend: Served, version_id: FromPath[str], delivery: Delivery, token: Token = ""
    ) -> None:
        """Note that this delivery is handed back on purpose: it does not count as interrupted."""
        job = backend.jobs.job(version_id, token)
        backend.jobs.states(job).hand_back(job.key, delivery)

    @get("/handed-back", sync_to_thread=True)
    def get_handed_back(
        self, backend: Served, version_id: FromPath[str], token: Token = ""
    ) -> HandedBack:
        """How many deliveries of the job were handed back on purpose."""
        job = backend.jobs.job(version_id, token)
        return HandedBack(backend.jobs.states(job).times_handed_back(job.key))

    @post("/room", status_code=204, sync_to_thread=True)
    def check_room(self, backend: Served, version_id: FromPath[str], token: Token = "") -> None:
        """Whether a file can be stored: 503 while the blob store has no room."""
        backend.jobs.job(version_id, token)
        backend.blobs.check_room()


async def _store(
    backend: Served, request: HttpRequest, version_id: str, token: str, most: int
) -> StoredFile:
    await asyncio.to_thread(backend.jobs.training, version_id, token)
    return await _receive(backend, request, version_id, most)


async def _receive(backend: Served, request: HttpRequest, version_id: str, most: int) -> StoredFile:
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
