"""The server's routes for the worker of a job."""

import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from stemma_trainer.contract import Job

_PATIENCE = 600.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0
_PIECE = 1 << 20


class Superseded(Exception):
    """Another delivery of the job has begun, or the training has ended: this one must stop."""


class JobStore:
    """What a job reads and stores. Each request is repeated while the server does not answer."""

    def __init__(self, job: Job, api_url: str) -> None:
        self._client = httpx.Client(
            base_url=f"{api_url.rstrip('/')}/api/v1/jobs/{job.version_id}/",
            headers={"Job-Token": job.token},
            timeout=60,
            verify=_authorities(api_url),
        )

    def get(self, path: str) -> bytes:
        return self._send("GET", path).content

    def claim(self, delivery: int) -> bytes:
        return self._send("POST", f"state/claim?delivery={delivery}").content

    def save(self, delivery: int, state: bytes) -> None:
        self._send("PUT", f"state?delivery={delivery}", state)

    def forget(self) -> None:
        self._send("DELETE", "state")

    def put(self, path: str, content: bytes | Path) -> tuple[str, int]:
        """Store a file; its sha256 and its size."""
        stored = self._send("PUT", path, content).json()
        return stored["digest"], stored["bytes"]

    def put_source(self, archive: bytes) -> str | None:
        """Store the archive of the code; its sha256, None for a server that takes none."""
        try:
            return self.put("source", archive)[0]
        except httpx.HTTPStatusError as error:
            if error.response.status_code in {404, 405}:
                return None
            raise

    def _send(self, method: str, path: str, content: bytes | Path | None = None) -> httpx.Response:
        deadline, pause = time.monotonic() + _PATIENCE, _FIRST_PAUSE
        while True:
            try:
                body: Any = _pieces(content) if isinstance(content, Path) else content
                response = self._client.request(method, path, content=body)
                if response.status_code < 500:
                    break
                problem: object = f"{response.status_code} {response.text[:200]}"
            except httpx.TransportError as error:
                problem = error
            if time.monotonic() > deadline:
                raise ConnectionError(f"{method} {path} failed for too long: {problem}")
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        if response.status_code in {401, 409}:
            raise Superseded(response.json().get("detail", response.text))
        response.raise_for_status()
        return response


def _authorities(url: str) -> ssl.SSLContext | bool:
    """The certificate authorities that vouch for the server; none for one without TLS, since to
    load them takes longer than a request."""
    return True if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
