"""The files of a job over HTTP, with the token of the job. Images are kept in a local folder."""

import hashlib
import logging
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import httpx
import msgspec

from adapters.blobs.blobs import BlobCorrupt, BlobMissing
from adapters.settings import Settings
from domain.training.jobs import Job
from domain.training.messages import ManifestLine
from stemma_trainer.store import JobStore

PATIENCE_SECONDS = 15.0
"""After this time without an answer the job is handed back, once the server stores files again."""

PACK = 64
"""Images that are fetched at once."""

_MISSING = -1

log = logging.getLogger(__name__)


class ServedFiles:
    """A `JobFiles`.

    Images are kept in `settings.decoded`, by their digest, up to `image_disk_bytes`; without such a
    folder none are.
    """

    def __init__(self, job: Job, delivery: int, settings: Settings) -> None:
        self._store = JobStore(job, settings.require("api_url"), PATIENCE_SECONDS)
        self._digest, self._delivery = job.manifest, delivery
        self._folder = Path(settings.decoded, job.manifest, "images") if settings.decoded else None
        self._room = settings.image_disk_bytes
        self._locks: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)
        self._lost: dict[str, Exception] = {}

    def manifest(self) -> bytes:
        return self._manifest

    @cached_property
    def _manifest(self) -> bytes:
        content = _reading("the manifest", lambda: self._store.get("manifest"))
        _check(content, self._digest)
        if self._folder is not None and self._folder.exists():
            for blob in self._missing:
                place = self._place(self._folder, blob)
                for copy in place.parent.glob(f"{place.name}*"):
                    copy.unlink(missing_ok=True)
            self._room -= sum(map(_size, self._folder.glob("*/*")))
        return content

    @cached_property
    def _numbers(self) -> dict[str, int]:
        """The number of each file, in the order of the manifest."""
        lines = msgspec.json.Decoder(ManifestLine).decode_lines(self._manifest)
        return {blob: number for number, blob in enumerate(dict.fromkeys(li.blob for li in lines))}

    @cached_property
    def _missing(self) -> frozenset[str]:
        answer = _reading("the list of erased images", lambda: self._store.get("missing"))
        return msgspec.json.decode(answer, type=frozenset[str])

    def are_stored(self, blobs: Iterable[str]) -> bool:
        return self._missing.isdisjoint(blobs)

    def image(self, line: ManifestLine) -> bytes:
        if self._folder is None:
            return self._one(line)
        place = self._place(self._folder, line.blob)
        if not place.exists():
            number = self._numbers[line.blob]
            with self._locks[number // PACK]:
                if self._room > 0 and not place.exists() and line.blob not in self._lost:
                    self._fetch(self._folder, number // PACK * PACK)
        if lost := self._lost.get(line.blob):
            raise lost
        try:
            return place.read_bytes()
        except FileNotFoundError:  # there was no room for it
            return self._one(line)

    def _one(self, line: ManifestLine) -> bytes:
        content = _reading(f"image {line.image}", lambda: self._store.get(f"images/{line.image}"))
        _check(content, line.blob)
        return content

    def _fetch(self, folder: Path, first: int) -> None:
        """Fetch a pack, and keep it."""
        blobs = list(self._numbers)[first : first + PACK]
        while blobs and self._room > 0:
            found = self._store.images(first, len(blobs))
            if not found:
                raise BlobCorrupt(f"the manifest {self._digest} has fewer images on the server")
            for blob, content in zip(blobs, found, strict=False):
                if isinstance(content, bytes):
                    self._keep(self._place(folder, blob), content)
                elif content == _MISSING:
                    self._lost[blob] = BlobMissing(f"{blob} is not stored")
                else:
                    self._lost[blob] = BlobCorrupt(f"the bytes of {blob} have changed")
            first, blobs = first + len(found), blobs[len(found) :]

    def _keep(self, place: Path, content: bytes) -> None:
        """Whole or not at all: other processes may read it. Where one finds no room, it and those
        that follow are not kept."""
        _check(content, place.name)
        if place.exists():
            return
        if self._room < len(content):
            self._room = 0
            return
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                prefix=f"{place.name}.", dir=place.parent, delete=False
            ) as file:
                try:
                    file.write(content)
                    file.flush()
                    Path(file.name).replace(place)
                except OSError:
                    Path(file.name).unlink(missing_ok=True)
                    raise
            self._room -= len(content)
        except OSError as error:
            log.info("images are not kept: %s", error)
            self._room = 0

    @staticmethod
    def _place(folder: Path, blob: str) -> Path:
        return folder / blob[:2] / blob

    def file(self, digest: str) -> bytes:
        content = _reading(f"file {digest}", lambda: self._store.get(f"files/{digest}"))
        _check(content, digest)
        return content

    def put(self, kind: str, content: bytes | Path) -> str:
        return self._store.put(kind, content)[0]

    def claim(self) -> bytes:
        return self._store.claim(self._delivery)

    def save(self, state: bytes) -> None:
        self._store.save(self._delivery, state)

    def check(self) -> None:
        self._store.check(self._delivery)

    def forget(self) -> None:
        self._store.forget()


def _reading(what: str, read: Callable[[], bytes]) -> bytes:
    """What is read. Raises `BlobMissing` or `BlobCorrupt` for what the server has not, or not
    whole."""
    try:
        return read()
    except httpx.HTTPStatusError as error:
        if error.response.status_code in {404, 410}:
            raise BlobMissing(f"{what} is not stored") from error
        if error.response.status_code == 500:
            raise BlobCorrupt(f"{what} is damaged or missing in the blob store") from error
        raise


def _size(path: Path) -> int:
    """0 for a file that another process has just renamed or removed."""
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0


def _check(content: bytes, digest: str) -> None:
    if hashlib.sha256(content).hexdigest() != digest:
        raise BlobCorrupt(f"what was received is not {digest}")
