"""What a job reads and stores: its dataset, weights, results, the state that it resumes from."""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from domain.training.messages import ManifestLine


class JobFiles(Protocol):
    """The files of one delivery of a job. Safe to use from many threads.

    What is read raises `BlobMissing` or `BlobCorrupt`. Writing and everything of the state raises
    `Superseded` once a later delivery has begun.
    """

    def manifest(self) -> bytes:
        """The lines of the frozen dataset."""

    def image(self, line: ManifestLine) -> bytes:
        """An image's file; of a crop, that of the whole image."""

    def are_stored(self, blobs: Iterable[str]) -> bool:
        """Whether the files of images are still stored: none of them was erased."""

    def file(self, digest: str) -> bytes:
        """Weights to start from, or what was stored for the version before."""

    def put(self, kind: str, content: bytes | Path) -> str:
        """Store a `checkpoint`, `predictions`, `items` or `onnx`; its sha256."""

    def claim(self) -> bytes:
        """The state to resume from, empty if there is none; from now on earlier deliveries cannot
        save any."""

    def save(self, state: bytes) -> None:
        """Replace the state of this delivery."""

    def check(self) -> None:
        """Raises `Superseded` if a later delivery has begun."""

    def forget(self) -> None:
        """Delete the states of all deliveries: the job is over."""
