"""Downloads that go on where they were interrupted, checked against the digest in the log."""

from __future__ import annotations

import hashlib
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from stemma_client.attempts import not_stemma
from stemma_client.errors import DigestMismatch, Unreachable
from stemma_client.partial_files import Partial, partial_of
from stemma_client.requests import Request

if TYPE_CHECKING:
    from stemma_client.transport import Transport

CHUNK = 1 << 20
PARTIAL_CONTENT = 206
SHA256 = re.compile("[0-9a-f]{64}")


def download(
    transport: Transport, request: Request[bytes], target: Path, *, digest: str | None = None
) -> Path:
    """Write an answer's body to a file, which is there only once it is whole.

    With a sha256 `digest`, what an earlier call left is completed, and the whole is compared: a
    file that is there and has the digest is not fetched again, and of several calls at once, in
    this process or in others, one fetches it. Without one, a download that is cut goes on only
    within this call, if the server tells by its `ETag` that it is the same file.
    Raises `DigestMismatch`.
    """
    if digest is not None and not SHA256.fullmatch(digest):  # it becomes part of a path
        raise DigestMismatch(
            f"{target.name}: the server sent the digest {digest!r}, which is not a sha256"
        )
    with partial_of(target, digest) as partial:
        if digest is not None and target.exists() and sha256_of(target) == digest:
            return target
        _fetch_all(_Fetch(transport, request, partial, digest), target)
        if digest is not None and (found := sha256_of(partial.written())) != digest:
            partial.discard()
            raise DigestMismatch(
                f"{target.name} has sha256 {found}, and the log names {digest}: try again; if this"
                " persists, tell your operator that the stored file is damaged"
            )
        partial.move_to(target)
    return target


def _fetch_all(fetch: _Fetch, target: Path) -> None:
    session = fetch.transport.session
    tries = session.attempts(fetch.request)
    while True:
        before = fetch.partial.size
        try:
            try:
                fetch.attempt()
                return
            except httpx.TransportError as error:
                if fetch.partial.size > before:  # it advances
                    tries = session.attempts(fetch.request)
                time.sleep(tries.pause_after(error))
        except Unreachable as error:
            raise Unreachable(
                f"{target.name} was interrupted after {fetch.partial.size:,} bytes ({error}); call"
                " it again to continue"
            ) from error


class _Fetch:
    """Attempts at a download; `tag` is the `ETag` of the file that the pieces so far are of."""

    def __init__(
        self, transport: Transport, request: Request[bytes], partial: Partial, tag: str | None
    ) -> None:
        self.transport, self.request, self.partial = transport, request, partial
        self._tag, self._is_known = tag, tag is not None

    def attempt(self) -> None:
        """Fetch what is missing. Raises `httpx.TransportError` and `ApiError`."""
        start = self.partial.size if self._tag is not None else 0
        headers = {"Accept-Encoding": "identity"}  # a range is of the file as it is stored
        if start:
            headers |= {"Range": f"bytes={start}-", "If-Range": f'"{self._tag}"'}
        with self.transport.stream(self.request, headers) as response:
            if response.status_code != PARTIAL_CONTENT:
                self.partial.empty()
            elif not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                raise not_stemma(response)
            if not self._is_known:
                self._tag = response.headers.get("ETag", "").strip('"') or None
            for piece in response.iter_bytes():
                self.partial.write(piece)


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest()
