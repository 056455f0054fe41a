"""Downloads that go on where they were interrupted, checked against the digest in the log."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from stemma_client.attempts import FIRST_PAUSE, LONGEST_PAUSE, PASSING
from stemma_client.errors import ApiError, DigestMismatch, Unreachable
from stemma_client.requests import Request

if TYPE_CHECKING:
    from stemma_client.transport import Transport

CHUNK = 1 << 20


def download(
    transport: Transport, request: Request[bytes], target: Path, *, digest: str | None = None
) -> Path:
    """Write an answer's body to a file, which is there only once it is whole.

    With a sha256 `digest`, what an earlier call left is completed, and the whole is compared: a
    file that is there and has the digest is not fetched again. Without one, a download that is cut
    goes on only within this call, if the server tells by its `ETag` that it is the same file.
    Raises `DigestMismatch`.
    """
    if digest is not None and target.exists() and sha256_of(target) == digest:
        return target
    # Another digest, another file: pieces of two are never put together.
    partial = target.with_name(f".{target.name}.{(digest or 'whole')[:12]}.partial")
    if digest is None:
        partial.unlink(missing_ok=True)
    deadline, pause = time.monotonic() + transport.session.patience, FIRST_PAUSE
    fetch = _Fetch(transport, request, partial, digest)
    while True:
        before = _size(partial)
        try:
            fetch.attempt()
            break
        except httpx.TransportError as error:
            if _size(partial) > before:  # it advances
                deadline, pause = time.monotonic() + transport.session.patience, FIRST_PAUSE
            if time.monotonic() + pause > deadline or not transport.session.is_running():
                raise Unreachable(
                    f"{target.name} was interrupted after {_size(partial):,} bytes ({error});"
                    " call it again to continue"
                ) from error
        except ApiError as error:
            if error.status not in PASSING or time.monotonic() + pause > deadline:
                raise
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
    if digest is not None and (found := sha256_of(partial)) != digest:
        partial.unlink()
        raise DigestMismatch(
            f"{target.name} has sha256 {found}, and the log names {digest}: try again; if this"
            " persists, tell your operator that the stored file is damaged"
        )
    partial.replace(target)
    return target


class _Fetch:
    """Attempts at a download; `tag` is the `ETag` of the file that the pieces so far are of."""

    def __init__(
        self, transport: Transport, request: Request[bytes], partial: Path, tag: str | None
    ) -> None:
        self._transport, self._request, self._partial = transport, request, partial
        self._tag, self._is_known = tag, tag is not None

    def attempt(self) -> None:
        """Fetch what is missing. Raises `httpx.TransportError` and `ApiError`."""
        start = _size(self._partial) if self._tag is not None else 0
        headers = {"Accept-Encoding": "identity"}  # a range is of the file as it is stored
        if start:
            headers |= {"Range": f"bytes={start}-", "If-Range": f'"{self._tag}"'}
        with self._transport.stream(self._request, headers) as response:
            mode = "ab" if response.status_code == 206 else "wb"
            if not self._is_known:
                self._tag = response.headers.get("ETag", "").strip('"') or None
            with self._partial.open(mode) as file:
                for piece in response.iter_bytes():
                    file.write(piece)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
    return digest.hexdigest()
