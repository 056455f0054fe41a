"""What a version suggests for images without annotation, and in which order to look at them.

The uncertainty of an image is high where the version is least sure (Settles 2009, Active Learning
Literature Survey, section 3.1): the entropy of its scores in nats, or 1 less the margin between its
two highest scores. Of a tagging and a detection both are means over the yes or no of each concept
or box; an image without any box has 0.
"""

import random
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapters.blobs.blobs import BlobStore
from adapters.evaluation.prediction_arrays import plain
from domain.dataset.annotation import PRECISION, Annotation, Box
from domain.library.view import CLASSIFICATION, DETECTION
from domain.training.messages import ConceptLabel

ENTROPY, MARGIN = "entropy", "margin"
_LEAST = 1e-12


class Suggested(msgspec.Struct, frozen=True):
    """An annotation that reaches its threshold, with its score."""

    annotation: Annotation
    score: float


class Suggestion(msgspec.Struct, frozen=True):
    """What a version suggests for an image, by falling score; nothing stands for without concept.

    `score` is the least of its scores, or of none the highest that its image could have had, less
    than 1: how sure all of it is.
    """

    image_id: str
    annotations: list[Suggested]
    score: float
    entropy: float
    margin: float

    def uncertainty(self, by: str) -> float:
        return self.entropy if by == ENTROPY else 1 - self.margin


@lru_cache(maxsize=2)
def load_suggestions(
    blobs: BlobStore, digest: str, thresholds: tuple[float, ...]
) -> list[Suggestion]:
    """The suggestions in a predictions file, at the thresholds of its concepts, in its order.

    The newest ones stay in memory, since each image that is annotated asks for them.

    Raises `BlobMissing` or `BlobCorrupt`.
    """
    # Imported lazily: pyarrow takes 60 MB that most processes of the API never use.
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory(prefix="stemma-suggestions-") as folder:
        path = Path(folder, "predictions.parquet")
        blobs.copy_to(digest, path)
        table = pq.read_table(path)
    metadata = table.schema.metadata
    kind = metadata[b"kind"].decode()
    concepts = [
        concept.concept_id
        for concept in msgspec.json.decode(metadata[b"concepts"], type=list[ConceptLabel])
    ]
    least = np.array(thresholds, np.float32)
    if kind == DETECTION:
        return [_of_boxes(row, concepts, least) for row in table.to_pylist()]
    return [_of_scores(row, concepts, least, kind) for row in table.to_pylist()]


def _of_scores(
    row: dict[str, Any], concepts: Sequence[str], least: NDArray[np.float32], kind: str
) -> Suggestion:
    scores = np.array(row["scores"], np.float32)
    reached = scores >= least
    if kind == CLASSIFICATION:
        top = int(scores.argmax())
        chosen = [top] if reached[top] else []
        two = np.sort(scores)[-2:]
        entropy = float(-(scores * np.log(np.maximum(scores, _LEAST))).sum())
        margin = float(two[-1] - two[0]) if len(two) > 1 else 1.0
    else:
        chosen = np.flatnonzero(reached).tolist()
        entropy, margin = _yes_or_no(scores)
    found = [Suggested(Annotation(concepts[c]), float(scores[c])) for c in chosen]
    return _suggestion(row["image"], found, float(1 - scores.max()), entropy, margin)


def _of_boxes(
    row: dict[str, Any], concepts: Sequence[str], least: NDArray[np.float32]
) -> Suggestion:
    found = []
    for box in row["predicted"]:
        if np.float32(box["score"]) < least[box["concept"]]:
            continue
        x, y = (plain(box[side]) for side in ("x", "y"))
        width, height = (
            round(min(plain(box[side]), 1 - start), PRECISION)
            for side, start in (("width", x), ("height", y))
        )
        if width > 0 and height > 0:
            annotation = Annotation(concepts[box["concept"]], Box(x, y, width, height))
            found.append(Suggested(annotation, box["score"]))
    scores = np.array([box["score"] for box in row["predicted"]], np.float32)
    entropy, margin = _yes_or_no(scores)
    highest = float(scores.max()) if len(scores) else 0.0
    return _suggestion(row["image"], found, 1 - highest, entropy, margin)


def _suggestion(
    image_id: str, found: list[Suggested], without: float, entropy: float, margin: float
) -> Suggestion:
    found.sort(key=lambda each: -each.score)
    return Suggestion(image_id, found, found[-1].score if found else without, entropy, margin)


def _yes_or_no(scores: NDArray[np.float32]) -> tuple[float, float]:
    """The mean entropy and margin of decisions of which each has two outcomes."""
    if not len(scores):
        return 0.0, 1.0
    both = np.maximum(np.stack([scores, 1 - scores]), _LEAST)
    entropy = -(both * np.log(both)).sum(axis=0)
    return float(entropy.mean()), float(np.abs(2 * scores - 1).mean())


def in_order(
    suggestions: Sequence[Suggestion], by: str, random_share: float, seed: int
) -> list[Suggestion]:
    """The least sure ones first, with a share drawn at random among them.

    Without that share, what is annotated would be all of one kind, and a version would never learn
    where it is sure and wrong. The order follows from the seed.
    """
    chance = random.Random(seed)
    left = sorted(suggestions, key=lambda each: (-each.uncertainty(by), each.image_id))
    at_random = list(left)
    chance.shuffle(at_random)
    taken: set[str] = set()
    sources = iter(left), iter(at_random)
    ordered: list[Suggestion] = []
    while len(ordered) < len(left):
        source = sources[chance.random() < random_share]
        following = next(each for each in source if each.image_id not in taken)
        taken.add(following.image_id)
        ordered.append(following)
    return ordered
