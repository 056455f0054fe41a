"""The scores that a worker stored, read from its Parquet file and joined with the frozen truth.

Of the file only the columns `image`, and `scores` or `predicted`, count: what is true follows from
the manifest. Every frozen image is in it exactly once, in any order. The joined file is a
predictions file as `predictions` describes it, with the rows in the worker's order.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from adapters.evaluation.overlaps import intersection_over_union
from adapters.evaluation.predictions import writing_predictions
from domain.dataset.image import TRAIN
from domain.library.view import CLASSIFICATION, DETECTION
from domain.training.messages import ConceptLabel, ManifestLine

MOST_BOXES = 1000
"""Predicted boxes of an image."""

MATCH_IOU = 0.5
_SIDES = ("x", "y", "width", "height")
_SLACK = 1e-3
"""By how much a box may reach beyond its image: sides are rounded."""


class ScoresRefused(Exception):
    """The file has not the scores of every frozen image; the text says why."""


class Scored(NamedTuple):
    """Scores beside the truth, (images, concepts); `train` are the images that train."""

    train: NDArray[np.bool_]
    truth: NDArray[np.bool_]
    scores: NDArray[np.float64]


def join_scores(
    source: Path,
    target: Path,
    kind: str,
    concepts: Sequence[ConceptLabel],
    lines: Sequence[ManifestLine],
    *,
    has_truth: bool = True,
) -> Scored | None:
    """Write the joined file. Returns what labels are measured by, None for boxes. Without
    `has_truth` nobody knows what is true of the images. Raises `ScoresRefused`."""
    try:
        with pq.ParquetFile(source) as file:
            values = MOST_BOXES if kind == DETECTION else len(concepts)
            _check_size(file, len(lines), values)
            column = "predicted" if kind == DETECTION else "scores"
            names = file.schema_arrow.names
            for name in ("image", column):
                _check(names.count(name) == 1, f"the file of predictions has no column {name!r}")
            table = file.read(columns=["image", column], use_threads=False).combine_chunks()
        ordered = _ordered(table.column("image"), lines)
        flat = _whole(table.column(column))
        if kind == DETECTION:
            _join_boxes(flat, target, concepts, ordered)
            return None
        single = kind == CLASSIFICATION and has_truth
        return _join_labels(flat, target, kind, concepts, ordered, single=single)
    except (pa.ArrowException, UnicodeDecodeError, KeyError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # an error of the disk, not of the file's content
        raise ScoresRefused(f"the file of predictions cannot be read: {error}") from error


def _check_size(file: pq.ParquetFile, images: int, values: int) -> None:
    """Refuse a file with other rows, or with more values, before anything is unpacked."""
    metadata = file.metadata
    _check(
        metadata.num_rows == images,
        f"the file of predictions has {metadata.num_rows} rows, and the frozen dataset has"
        f" {images} images",
    )
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    most = images * max(values, 1)
    for place in range(metadata.num_columns):
        count = sum(group.column(place).num_values for group in groups)
        _check(count <= most, f"the file of predictions has {count} values in a column")


def _ordered(ids: Any, lines: Sequence[ManifestLine]) -> list[ManifestLine]:
    """The manifest's lines in the order of the file's images."""
    known = {line.image: line for line in lines}
    ordered: dict[str, ManifestLine] = {}
    for image in ids.to_pylist():
        line = known.get(image) if isinstance(image, str) else None
        if line is None:
            raise ScoresRefused(f"image {str(image)[:100]!r} is not of the frozen dataset")
        _check(image not in ordered, f"image {image} is predicted twice")
        ordered[image] = line
    return list(ordered.values())


def _join_labels(
    column: Any,
    target: Path,
    kind: str,
    concepts: Sequence[ConceptLabel],
    lines: Sequence[ManifestLine],
    *,
    single: bool,
) -> Scored:
    """With `single` each image has exactly one true concept."""
    count = len(concepts)
    _check(pa.types.is_list(column.type), "the column 'scores' does not hold lists of numbers")
    _check(column.null_count == 0, "an image has no scores")
    lengths = column.value_lengths().to_numpy(zero_copy_only=False)
    wrong = np.flatnonzero(lengths != count)
    if len(wrong):
        first = int(wrong[0])
        raise ScoresRefused(
            f"image {lines[first].image} has {lengths[first]} scores; there are {count} concepts"
        )
    scores = _floats(column.flatten(), "score").reshape(len(lines), count)
    _refuse_scores(scores.max(axis=1, initial=0), scores.min(axis=1, initial=0), lines)
    truth = np.zeros(scores.shape, np.bool_)
    numbers = _numbers(concepts)
    with writing_predictions(target, kind, concepts) as file:
        for row, (line, values) in enumerate(zip(lines, scores.tolist(), strict=True)):
            true = sorted(numbers[concept] for concept in line.concepts)
            truth[row, true] = True
            file.add({"image": line.image, "split": line.split, "truth": true, "scores": values})
    _check(
        not single or bool((truth.sum(axis=1) == 1).all()),
        "an image does not have exactly one true concept",
    )
    return Scored(np.array([line.split == TRAIN for line in lines]), truth, scores)


def _join_boxes(
    column: Any, target: Path, concepts: Sequence[ConceptLabel], lines: Sequence[ManifestLine]
) -> None:
    is_boxes = pa.types.is_list(column.type) and pa.types.is_struct(column.type.value_type)
    _check(is_boxes, "the column 'predicted' does not hold lists of boxes")
    _check(column.null_count == 0, "an image has no list of boxes")
    lengths = column.value_lengths().to_numpy(zero_copy_only=False)
    _check(int(lengths.max(initial=0)) <= MOST_BOXES, f"an image has over {MOST_BOXES} boxes")
    flat = column.flatten()
    _check(flat.null_count == 0, "a box is missing")
    image = np.repeat(np.arange(len(lines)), lengths)
    scores = _floats(flat.field("score"), "score")
    _refuse_scores(scores, scores, [lines[place] for place in image.tolist()])
    sides = np.stack([_floats(flat.field(side), side) for side in _SIDES], axis=1)
    ends = sides[:, :2] + sides[:, 2:]
    inside = (sides >= 0).all() and (ends <= 1 + _SLACK).all()
    _check(bool(inside), "a box reaches beyond its image; sides are shares of the image's")
    concept = _floats(flat.field("concept"), "concept")
    known = (concept >= 0) & (concept < len(concepts)) & (concept == np.floor(concept))
    _check(bool(known.all()), f"a box has no concept from 0 to {len(concepts) - 1}")
    starts = np.concatenate([[0], np.cumsum(lengths)])
    numbers = _numbers(concepts)
    with writing_predictions(target, DETECTION, concepts) as file:
        for row, line in enumerate(lines):
            own = slice(int(starts[row]), int(starts[row + 1]))
            order = np.argsort(-scores[own], kind="stable")
            true = [numbers[one] for one in line.concepts]
            boxes = concept[own][order].astype(int), sides[own][order]
            matched = _matches(*boxes, np.array(true), np.array(line.boxes).reshape(-1, 4))
            file.add(
                {
                    "image": line.image,
                    "split": line.split,
                    "truth": [
                        {"concept": number} | dict(zip(_SIDES, box, strict=True))
                        for number, box in zip(true, line.boxes, strict=True)
                    ],
                    "predicted": [
                        {"concept": number, "score": score, "matched": match}
                        | dict(zip(_SIDES, box, strict=True))
                        for number, score, match, box in zip(
                            boxes[0].tolist(),
                            scores[own][order].tolist(),
                            matched,
                            boxes[1].tolist(),
                            strict=True,
                        )
                    ],
                }
            )


def _matches(
    concepts: NDArray[Any], boxes: NDArray[Any], true: NDArray[Any], true_boxes: NDArray[Any]
) -> list[int]:
    """The index of the true box that each predicted one matches, or -1: as in COCO, by falling
    score, the box of its concept with the largest IoU that is not matched yet."""
    if not len(true):
        return [-1] * len(boxes)
    overlaps = intersection_over_union(boxes, true_boxes)
    overlaps[concepts[:, None] != true[None, :]] = 0
    matches = []
    for row in overlaps:
        best = int(row.argmax())
        matched = best if row[best] >= MATCH_IOU else -1
        if matched >= 0:
            overlaps[:, matched] = 0
        matches.append(matched)
    return matches


def _numbers(concepts: Sequence[ConceptLabel]) -> dict[str, int]:
    return {concept.concept_id: number for number, concept in enumerate(concepts)}


def _floats(column: Any, what: str) -> NDArray[np.float64]:
    is_number = pa.types.is_floating(column.type) or pa.types.is_integer(column.type)
    _check(is_number, f"a {what} is not a number")
    _check(column.null_count == 0, f"a {what} is missing")
    numbers: NDArray[np.float64] = column.to_numpy(zero_copy_only=False).astype(np.float64)
    return numbers


def _refuse_scores(
    highest: NDArray[Any], lowest: NDArray[Any], lines: Sequence[ManifestLine]
) -> None:
    wrong = np.flatnonzero(~((lowest >= 0) & (highest <= 1)))
    if len(wrong):
        raise ScoresRefused(f"image {lines[int(wrong[0])].image} has a score outside 0 to 1")


def _whole(column: Any) -> Any:
    whole = column.combine_chunks()
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole


def _check(good: bool, otherwise: str) -> None:
    if not good:
        raise ScoresRefused(otherwise)
