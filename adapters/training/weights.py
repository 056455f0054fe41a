"""The folder of pretrained weights: which known files lie in it, and how one becomes a blob."""

from pathlib import Path

from adapters.blobs.blobs import BlobStore
from domain.training.architectures import ARCHITECTURES

KNOWN = frozenset(file for one in ARCHITECTURES.values() for file in one.weights.values())


class WeightsFolder:
    """Files of pretrained weights, under the names that `training.architectures` has for them."""

    def __init__(self, folder: Path, blobs: BlobStore) -> None:
        self.folder = folder
        self._blobs = blobs

    def at_hand(self) -> frozenset[str]:
        """The names of the files that are there."""
        return files_in(self.folder)

    def store(self, file: str) -> str:
        """Put a file into the blob store and flush it; its sha256. Raises `FileNotFoundError`."""
        if file not in self.at_hand():
            raise FileNotFoundError(self.folder / file)
        digest = self._blobs.put_file(self.folder / file)
        self._blobs.flush()
        return digest


def files_in(folder: Path) -> frozenset[str]:
    """The known files that lie in a folder; none if it is not there."""
    return frozenset(file for file in KNOWN if (folder / file).is_file())
