"""The folder of pretrained weights: its known files, and storing one as a blob."""

from pathlib import Path

from adapters.blobs.blobs import BlobStore
from domain.training.architectures import ARCHITECTURES

KNOWN = frozenset(
    file for architecture in ARCHITECTURES.values() for file in architecture.weights.values()
)


class WeightsFolder:
    """Files of pretrained weights, under the names in `training.architectures`."""

    def __init__(self, folder: Path, blobs: BlobStore) -> None:
        self.folder = folder
        self._blobs = blobs

    def at_hand(self) -> frozenset[str]:
        """The names of the files in the folder."""
        return files_in(self.folder)

    def store(self, file: str) -> str:
        """Store a file as a blob, flush it and return its sha256. Raises `FileNotFoundError`."""
        if file not in self.at_hand():
            raise FileNotFoundError(self.folder / file)
        digest = self._blobs.put_file(self.folder / file)
        self._blobs.flush()
        return digest


def files_in(folder: Path) -> frozenset[str]:
    """The known files in a folder; none if the folder does not exist."""
    return frozenset(file for file in KNOWN if (folder / file).is_file())
