"""Predictions files read into arrays and validated."""

import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from adapters.blobs.blobs import BlobStore
from adapters.evaluation.prediction_arrays import Boxes, BoxTable, Images, Labels, PredictionArrays
from domain.dataset.image import TEST, TRAIN, VALIDATION
from domain.library.view import CLASSIFICATION, DETECTION, KINDS
from domain.training.messages import ConceptLabel


class PredictionsUnreadable(Exception):
    """The file is not a predictions file, or not one of this version."""


def load_blob(blobs: BlobStore, digest: str) -> PredictionArrays:
    """The predictions with a digest, which is verified.

    Raises `BlobMissing`, `BlobCorrupt` or `PredictionsUnreadable`.
    """
    with tempfile.TemporaryDirectory(prefix="stemma-predictions-") as folder:
        path = Path(folder, "predictions.parquet")
        blobs.copy_to(digest, path)
        return load(path)


def load(path: Path) -> PredictionArrays:
    """The predictions in a file. Raises `PredictionsUnreadable`."""
    # Imported lazily: pyarrow takes 60 MB that most processes of the API never use.
    import pyarrow as pa

    try:
        return _load(path)
    except (pa.ArrowException, msgspec.MsgspecError, UnicodeDecodeError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # an error of the disk, not of the file's content
        raise PredictionsUnreadable(f"the file cannot be read: {error}") from error
    finally:
        pa.default_memory_pool().release_unused()


def _load(path: Path) -> PredictionArrays:
    import pyarrow.parquet as pq

    from adapters.evaluation.predictions import schema_of

    with pq.ParquetFile(path) as file:
        metadata = file.schema_arrow.metadata or {}
        kind = metadata.get(b"kind", b"").decode()
        if kind not in KINDS or not file.schema_arrow.equals(schema_of(kind)):
            raise PredictionsUnreadable("its columns differ from those of predictions")
        concepts = msgspec.json.decode(metadata.get(b"concepts", b""), type=list[ConceptLabel])
        table = file.read(use_threads=False).combine_chunks()
    columns = {name: _whole(table.column(name)) for name in table.column_names}
    splits = columns["split"].to_numpy(zero_copy_only=False)
    found = set(splits)
    images = Images(columns["image"].to_pylist(), splits == TRAIN, tested=TEST in found)
    _check(found <= {TRAIN, VALIDATION} or found == {TEST}, "an image is of no known split")
    _check(None not in images.ids, "an image has no id")
    _check(len(set(images.ids)) == len(images.ids), "an image is listed twice")
    ids = tuple(concept.concept_id for concept in concepts)
    if kind == DETECTION:
        return _boxes(ids, images, columns)
    return _labels(kind, ids, images, columns)


def _labels(kind: str, ids: tuple[str, ...], images: Images, columns: dict[str, Any]) -> Labels:
    shape = (len(images.ids), len(ids))
    score_lists, truth_lists = columns["scores"], columns["truth"]
    _check(bool(ids) or not images.ids, "it has no concepts")
    _check(bool((_lengths(score_lists) == len(ids)).all()), "a score is missing")
    scores = _numbers(score_lists.flatten()).reshape(shape)
    _check_scores(scores)
    true = _numbers(truth_lists.flatten())
    _check(bool(((true >= 0) & (true < len(ids))).all()), "a concept is unknown")
    truth = np.zeros(shape, np.bool_)
    counts = _lengths(truth_lists)
    truth[np.repeat(np.arange(len(counts)), counts), true] = True
    single = kind == CLASSIFICATION
    _check(
        not single or bool((counts == 1).all()), "an image does not have exactly one true concept"
    )
    return Labels(kind, ids, images, truth, scores, single)


def _boxes(ids: tuple[str, ...], images: Images, columns: dict[str, Any]) -> Boxes:
    truth = _table(columns["truth"], len(ids))
    predicted = _table(columns["predicted"], len(ids))
    flat = columns["predicted"].flatten()
    scores = _numbers(flat.field("score"))
    _check_scores(scores)
    index = _numbers(flat.field("matched")).astype(np.int64)
    true_boxes = np.diff(truth.starts)[predicted.image]
    _check(
        bool(((index >= -1) & (index < true_boxes)).all()), "a box matches one that does not exist"
    )
    matched = np.where(index >= 0, truth.starts[predicted.image] + index, -1)
    hits = matched >= 0
    same = truth.concept[matched[hits]] == predicted.concept[hits]
    _check(bool(same.all()), "a box matches one of another concept")
    _check(len(np.unique(matched[hits])) == hits.sum(), "a box is matched twice")
    return Boxes(DETECTION, ids, images, truth, predicted, scores, matched)


def _table(column: Any, concepts: int) -> BoxTable:
    lengths = _lengths(column)
    flat = column.flatten()
    concept = _numbers(flat.field("concept"))
    _check(bool(((concept >= 0) & (concept < concepts)).all()), "a concept is unknown")
    sides = [_numbers(flat.field(side)) for side in ("x", "y", "width", "height")]
    _check(all(bool(np.isfinite(side).all()) for side in sides), "a box has no size")
    return BoxTable(
        np.repeat(np.arange(len(lengths)), lengths),
        np.concatenate([[0], np.cumsum(lengths)]),
        concept,
        np.stack(sides, axis=1),
    )


def _whole(column: Any) -> Any:
    """A column as one array."""
    import pyarrow as pa

    whole = column.combine_chunks()
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole


def _lengths(column: Any) -> Any:
    _check(column.null_count == 0, "a row has gaps")
    return column.value_lengths().to_numpy(zero_copy_only=False)


def _numbers(column: Any) -> Any:
    _check(column.null_count == 0, "a value is missing")
    return column.to_numpy(zero_copy_only=False)


def _check_scores(scores: Any) -> None:
    _check(bool(((scores >= 0) & (scores <= 1)).all()), "a score is outside 0 to 1")


def _check(good: bool, otherwise: str) -> None:
    if not good:
        raise PredictionsUnreadable(otherwise)
