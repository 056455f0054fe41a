"""Files of epochs' items, read into arrays and validated, and a cache of them."""

import io
import sys
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from adapters.blobs.blobs import BlobStore
from adapters.flip_book.arrays import Book, EpochArrays, Items, ItemsUnreadable
from adapters.flip_book.boxes import OUTCOMES
from domain.dataset.image import TRAIN, VALIDATION
from domain.library.view import DETECTION, TAGGING
from domain.training.messages import ConceptLabel

HELD_BYTES = 256_000_000
"""The most bytes of epochs in memory; those of the requested version stay even if they are
larger."""


class Books:
    """A cache of epochs by digest, whose content never changes. Safe to use from many threads."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs = blobs
        self._epochs: OrderedDict[str, EpochArrays] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, digests: Sequence[str]) -> Book:
        """The epochs with these digests, in order.

        Raises `BlobMissing`, `BlobCorrupt` or `ItemsUnreadable`.
        """
        with self._lock:
            epochs = [self._get(digest) for digest in digests]
            size = sum(epoch.size for epoch in self._epochs.values())
            while size > HELD_BYTES and len(self._epochs) > len(epochs):
                size -= self._epochs.popitem(last=False)[1].size
        return Book(epochs)

    def _get(self, digest: str) -> EpochArrays:
        epoch = self._epochs.get(digest)
        if epoch is None:
            epoch = self._epochs[digest] = load(self._blobs.get(digest))
        self._epochs.move_to_end(digest)
        return epoch


def load(data: bytes) -> EpochArrays:
    """The items in a file. Raises `ItemsUnreadable`."""
    # Imported lazily: pyarrow takes 60 MB that most processes of the API never use.
    import pyarrow as pa

    try:
        return _load(data)
    except (pa.ArrowException, msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise ItemsUnreadable(f"the file cannot be read: {error}") from error


def _load(data: bytes) -> EpochArrays:
    import pyarrow.parquet as pq

    from adapters.flip_book.files import SCHEMAS

    with pq.ParquetFile(io.BytesIO(data)) as file:
        metadata = file.schema_arrow.metadata or {}
        kind = metadata.get(b"kind", b"").decode()
        if kind not in SCHEMAS or not file.schema_arrow.equals(SCHEMAS[kind]):
            raise ItemsUnreadable("its columns differ from those of items")
        concepts = msgspec.json.decode(metadata.get(b"concepts", b""), type=list[ConceptLabel])
        epoch = int(metadata.get(b"epoch", b""))
        table = file.read(use_threads=False).combine_chunks()
    columns = {
        name: table.column(name).combine_chunks() if table.num_rows else table.column(name)
        for name in table.column_names
    }
    ids = tuple(concept.concept_id for concept in concepts)
    if not table.num_rows:
        raise ItemsUnreadable("it has no rows")
    return _boxes(ids, epoch, columns) if kind == DETECTION else _labels(kind, ids, epoch, columns)


def _labels(
    kind: str, concepts: tuple[str, ...], epoch: int, columns: dict[str, Any]
) -> EpochArrays:
    ids, train = _images(columns, len(concepts) if kind == TAGGING else 1)
    concept = _numbers(columns["concept"]).astype(np.int32)
    _check_concepts(concept, concepts)
    positive = _numbers(columns["truth"]).astype(np.bool_) if kind == TAGGING else None
    image = np.arange(len(ids), dtype=np.int32)
    if kind == TAGGING:
        image = np.repeat(image, len(concepts))
    items = Items(kind, concepts, ids, train, image, concept, positive, None, None)
    return _epoch(items, epoch, columns, None, None)


def _boxes(concepts: tuple[str, ...], epoch: int, columns: dict[str, Any]) -> EpochArrays:
    ids, train = _images(columns, 1)
    truth = columns["truth"]
    counts = truth.value_lengths().to_numpy(zero_copy_only=False)
    flat = truth.flatten()
    fields = {field.name: flat.field(field.name) for field in flat.type}
    concept = _numbers(fields["concept"]).astype(np.int32)
    _check_concepts(concept, concepts)
    sides = np.stack([_numbers(fields[side]) for side in ("x", "y", "width", "height")], axis=1)
    starts = np.cumsum(counts) - counts
    number = (np.arange(len(concept)) - np.repeat(starts, counts)).astype(np.int32)
    image = np.repeat(np.arange(len(ids), dtype=np.int32), counts)
    items = Items(DETECTION, concepts, ids, train, image, concept, None, number, sides)
    outcome = np.array([OUTCOMES.index(name) for name in fields["outcome"].to_pylist()], np.int8)
    return _epoch(items, epoch, fields, outcome, columns["boxes"])


def _images(columns: dict[str, Any], repeats: int) -> tuple[list[str], Any]:
    """The ids of the images, and whether each is of the training split."""
    # Interned: the epochs of a version have the same ids.
    ids = [sys.intern(key) for key in columns["image"].to_pylist()[::repeats]]
    splits = columns["split"].to_numpy(zero_copy_only=False)[::repeats]
    if not set(splits) <= {TRAIN, VALIDATION}:
        raise ItemsUnreadable("an image has an unknown split")
    if len(set(ids)) != len(ids) or len(columns["image"]) != len(ids) * repeats:
        raise ItemsUnreadable("an image is listed twice")
    return ids, splits == TRAIN


def _epoch(
    items: Items, epoch: int, columns: dict[str, Any], outcome: Any, boxes: Any
) -> EpochArrays:
    return EpochArrays(
        items,
        epoch,
        predicted=_numbers(columns["predicted"]).astype(np.int32),
        probability=_numbers(columns["probability"]),
        margin=_numbers(columns["margin"]),
        loss=_numbers(columns["loss"]),
        outcome=outcome,
        boxes=boxes,
    )


def _numbers(column: Any) -> Any:
    if column.null_count:
        raise ItemsUnreadable("a value is missing")
    return column.to_numpy(zero_copy_only=False)


def _check_concepts(concept: Any, concepts: Sequence[str]) -> None:
    if not bool(((concept >= 0) & (concept < len(concepts))).all()):
        raise ItemsUnreadable("a concept is unknown")
