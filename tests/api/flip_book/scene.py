"""Versions whose epochs were recorded, with files that tests write as the worker would."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from adapters.blobs.blobs import BlobStore
from adapters.flip_book.files import SampledImages, file_of
from domain.training.messages import ConceptLabel, EpochItems
from tests.api.evaluation.scene import Asked, trained
from tests.api.scene import Scene

EPOCHS = 3


def store_epoch(
    scene: Scene,
    kind: str,
    concepts: Sequence[ConceptLabel],
    epoch: int,
    images: Sequence[str],
    columns: dict[str, Any],
) -> str:
    """Store the file of an epoch, in which the first six images train; its digest."""
    splits = ["train" if number < 6 else "validation" for number in range(len(images))]
    data = file_of(kind, concepts, epoch, SampledImages(list(images), splits), columns)
    return BlobStore.from_url(scene.settings.require("blobs_url")).put(data)


def recorded(
    scene: Scene, asked: Asked, kind: str, epochs: Sequence[dict[str, Any]], **options: object
) -> str:
    """A version with these epochs, each given by its columns, that is still training."""
    version_id = trained(scene, asked.view_id, "validates", **options)
    scene.visible()
    known = scene.http.get(f"/api/v1/versions/{version_id}").json()["version"]["concepts"]
    concepts = msgspec.convert(known, list[ConceptLabel])
    for epoch, columns in enumerate(epochs, start=1):
        report_epoch(scene, version_id, kind, concepts, epoch, asked.images, columns)
    return version_id


def report_epoch(
    scene: Scene,
    version_id: str,
    kind: str,
    concepts: Sequence[ConceptLabel],
    epoch: int,
    images: Sequence[str],
    columns: dict[str, Any],
) -> int:
    digest = store_epoch(scene, kind, concepts, epoch, images, columns)
    rows = len(columns["loss"])
    return scene.report(version_id, EpochItems(epoch, epoch * 10, digest, len(images), rows, 0.5))


def class_columns(seed: int, images: int = 10) -> dict[str, Any]:
    """Random measurements of a classification with three concepts."""
    random = np.random.default_rng(seed)
    concept = np.arange(images, dtype=np.int32) % 3
    probability = random.random(images, np.float32)
    predicted = np.where(probability >= 0.5, concept, (concept + 1) % 3).astype(np.int32)
    return {
        "concept": concept,
        "predicted": predicted,
        "probability": probability,
        "margin": random.normal(size=images).astype(np.float32),
        "loss": -np.log(probability),
    }


def tag_columns(seed: int, images: int = 10, concepts: int = 3) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    rows = images * concepts
    truth = np.arange(rows) % 4 == 0
    probability = random.random(rows, np.float32)
    return {
        "concept": np.tile(np.arange(concepts, dtype=np.int32), images),
        "truth": truth,
        "predicted": np.where(probability >= 0.5, truth, ~truth),
        "probability": probability,
        "margin": random.normal(size=rows).astype(np.float32),
        "loss": -np.log(probability),
    }


def box_columns(seed: int, images: int = 10) -> dict[str, Any]:
    """Two true boxes in each image, of which the second is missed."""
    random = np.random.default_rng(seed)
    sides = {"x": 0.25, "y": 0.125, "width": 0.5, "height": 0.25}

    def true(outcome: str, predicted: int) -> dict[str, Any]:
        own = {"concept": 1, **sides, "outcome": outcome, "predicted": predicted}
        return own | {"probability": random.random(), "margin": 0.5, "loss": random.random()}

    found = {"concept": 1, "score": 0.75, **sides, "outcome": "found", "matched": 0}
    other = {"concept": 0, "score": 0.5, **sides, "outcome": "spurious", "matched": -1}
    return {
        "loss": [random.random() for _ in range(images)],
        "truth": [[true("found", 1), true("missed", -1)] for _ in range(images)],
        "boxes": [[found, other] for _ in range(images)],
    }
