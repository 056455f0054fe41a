"""A version's ONNX file: made by a worker, downloaded, and kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from stemma_client._generated import answers, operations
from stemma_client.downloads import download
from stemma_client.errors import OnnxFailed
from stemma_client.waiting import wait_for

if TYPE_CHECKING:
    from stemma_client.versions import Version

RUNNING = frozenset({"queued", "running"})


class OnnxFile:
    """The file's state on the server, for a wait."""

    def __init__(self, version: Version) -> None:
        self._version = version
        self.name = f"ONNX file of {version.name}"
        self.view = self._read(0.0)

    def _read(self, seconds: float, patience: float | None = None) -> answers.OnnxView:
        request = operations.get_onnx(self._version.id, wait=seconds)
        return self._version.client.send(request, patience=patience)

    @property
    def ended(self) -> bool:
        """Whether no worker is to make it or makes it."""
        return self.view.status not in RUNNING

    @property
    def progress(self) -> float:
        """Not known: it is there, or it is not."""
        return float(self.ended)

    def look(self, seconds: float = 0, *, patience: float | None = None) -> None:
        """Read it again, as soon as it has ended or after some seconds."""
        self.view = self._read(seconds, patience)


def made(version: Version, timeout: float | None) -> str:
    """The digest of a version's ONNX file, once it is there."""
    file = OnnxFile(version)
    if file.ended and file.view.onnx is None:
        version.client.send(operations.request_onnx(version.id))
        file.look(0.0)
    if not file.ended:
        wait_for([file], timeout=timeout, bar=None)
    if file.view.onnx is None:
        raise OnnxFailed(f"{file.name}: {file.view.reason or 'it is not made'}")
    return file.view.onnx


def write_onnx(version: Version, target: Path, *, timeout: float | None) -> Path:
    """Write it to a file, compared with its digest."""
    digest = made(version, timeout)
    request = operations.download_onnx(version.id)
    return download(version.client.transport, request, target, digest=digest)


def cached_onnx(version: Version, *, timeout: float | None) -> Path:
    """The file in the user's cache, compared with its digest again."""
    digest = made(version, timeout)
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stemma-client"
    folder.mkdir(parents=True, exist_ok=True)
    request = operations.download_onnx(version.id)
    target = folder / f"{Path(digest).name}.onnx"
    return download(version.client.transport, request, target, digest=digest)
