"""Where the crops of a version's frozen dataset are, read from its manifest."""

import threading
from collections import OrderedDict
from collections.abc import Mapping

import msgspec

from adapters.blobs.blobs import BlobCorrupt, BlobMissing, BlobStore
from domain.dataset.annotation import Box
from domain.training.messages import ManifestLine

HELD = 4
"""The most manifests whose crops stay in memory."""


class Crops:
    """The crops of manifests by digest, whose content never changes. Safe to use from threads."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._cached: OrderedDict[str, Mapping[str, Box]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, manifest: str) -> Mapping[str, Box]:
        """The place of each crop by its key; none if the manifest is not stored any more."""
        with self._lock:
            crops = self._cached.get(manifest)
            if crops is None:
                crops = self._cached[manifest] = self._read(manifest)
            self._cached.move_to_end(manifest)
            while len(self._cached) > HELD:
                self._cached.popitem(last=False)
            return crops

    def _read(self, manifest: str) -> Mapping[str, Box]:
        try:
            content = b"".join(self._blobs.read_compressed(manifest))
        except (BlobMissing, BlobCorrupt):
            return {}
        lines = msgspec.json.Decoder(ManifestLine).decode_lines(content)
        return {line.image: Box(*line.crop) for line in lines if line.crop is not None}
