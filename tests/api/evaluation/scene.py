"""Versions that were evaluated, with predictions that tests write as the worker would."""

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from adapters.blobs.blobs import BlobStore
from adapters.evaluation.predictions import writing_predictions
from application.handle import Request, handle
from domain.aggregates import VERSION
from domain.training.manifest import ManifestCounts
from domain.training.messages import (
    CheckpointSaved,
    Completed,
    ConceptLabel,
    Evaluated,
    SplitFigures,
    Started,
)
from domain.training.version import FreezeDataset
from tests.api.scene import DIGEST, Scene

FIGURES = SplitFigures(images=4, loss=0.25, accuracy=0.75)
TRAIN_FIGURES = SplitFigures(images=6, loss=0.125, accuracy=1.0)


class Asked(msgspec.Struct, frozen=True):
    """A view with its concepts and images."""

    project_id: str
    view_id: str
    concepts: list[str]
    images: list[str]


def ask(scene: Scene, kind: str, labels: Sequence[str] = ("zero", "one", "two")) -> Asked:
    """A project of ten images, annotated so that a training of the kind is accepted."""
    project_id = scene.project(f"Evaluated {kind}")
    view = scene.post(f"/projects/{project_id}/views", {"name": f"A {kind}", "kind": kind})
    view_id = str(view["id"])
    concepts = scene.concepts(view_id, *labels)
    images = scene.images(project_id, 10)
    box = {"x": 0.1, "y": 0.1, "width": 0.5, "height": 0.5}
    said = [
        {
            "image_id": image_id,
            "annotations": [
                {"concept_id": concepts[index % len(concepts)]}
                | ({"box": box} if kind == "detection" else {})
            ],
        }
        for index, image_id in enumerate(images)
    ]
    scene.post(f"/views/{view_id}/annotations", {"images": said})
    scene.post(f"/projects/{project_id}/validation-split", {"size": 0.4, "seed": 1})
    return Asked(project_id, view_id, concepts, images)


def predictions(
    scene: Scene, kind: str, concepts: Sequence[ConceptLabel], rows: Iterable[Mapping[str, Any]]
) -> str:
    """Store a predictions file; its digest."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "predictions")
        with writing_predictions(path, kind, concepts) as file:
            for row in rows:
                file.add(dict(row))
        return BlobStore.from_url(scene.settings.require("blobs_url")).put_file(path)


def trained(scene: Scene, view_id: str, validation_set: str | None, **options: object) -> str:
    """A version that is trained and not evaluated."""
    version_id = scene.version(view_id, **options)
    counts = ManifestCounts(6, 4, {}, validation_set)
    request = Request(actor="policy", command_id=f"{version_id}/f", correlation_id=version_id)
    command = FreezeDataset(DIGEST, counts)
    handle(scene.store, request, lambda s: s.decide(VERSION, version_id, command))
    scene.report(
        version_id,
        Started("gpu-1", "cpu", {"torch": "2"}, 0),
        CheckpointSaved(DIGEST, 1000, "validation_accuracy", 0.75, 1),
    )
    return version_id


def evaluated(
    scene: Scene,
    asked: Asked,
    rows: Iterable[Mapping[str, Any]],
    *,
    kind: str,
    validation_set: str | None = "validates",
    **options: object,
) -> str:
    """A ready version with these predictions."""
    version_id = trained(scene, asked.view_id, validation_set, **options)
    scene.visible()
    known = scene.http.get(f"/api/v1/versions/{version_id}").json()["version"]["concepts"]
    digest = predictions(scene, kind, msgspec.convert(known, list[ConceptLabel]), rows)
    finish(scene, version_id, digest)
    return version_id


def finish(scene: Scene, version_id: str, digest: str) -> int:
    return scene.report(
        version_id,
        Evaluated(DIGEST, FIGURES, TRAIN_FIGURES, digest),
        Completed(DIGEST, "cd" * 32, 10),
    )


def row(image_id: str, split: str, truth: list[int], scores: list[float]) -> dict[str, Any]:
    """A row of a classification or tagging."""
    return {"image": image_id, "split": split, "truth": truth, "scores": scores}


def some_labels(images: Sequence[str]) -> list[dict[str, Any]]:
    """Ten images and three concepts: of the first four, which validate, two are misclassified."""
    given = [
        ([0], [0.7, 0.2, 0.1]),
        ([1], [0.5, 0.4, 0.1]),
        ([2], [0.1, 0.2, 0.7]),
        ([2], [0.3, 0.45, 0.25]),
        *(([n % 3], [0.8 if c == n % 3 else 0.1 for c in range(3)]) for n in range(6)),
    ]
    return [
        row(image, "validation" if n < 4 else "train", truth, scores)
        for n, (image, (truth, scores)) in enumerate(zip(images, given, strict=True))
    ]


def some_boxes(images: Sequence[str]) -> list[dict[str, Any]]:
    """Ten images and three concepts: of the first four, one is right, three err differently."""

    def true(concept: int, x: float = 0.1) -> dict[str, Any]:
        return {"concept": concept, "x": x, "y": 0.1, "width": 0.4, "height": 0.5}

    def said(concept: int, score: float, matched: int, x: float = 0.12) -> dict[str, Any]:
        return true(concept, x) | {"score": score, "matched": matched}

    given: list[tuple[list[dict[str, Any]], list[dict[str, Any]]]] = [
        ([true(0)], [said(0, 0.9, 0), said(1, 0.2, -1)]),
        ([true(1)], [said(1, 0.8, 0), said(2, 0.7, -1, 0.5)]),
        ([true(2), true(2, 0.5)], [said(2, 0.6, 1, 0.5)]),
        ([true(0)], [said(1, 0.65, -1), said(0, 0.3, 0)]),
        *(([true(n % 3)], [said(n % 3, 0.9, 0)]) for n in range(6)),
    ]
    return [
        {
            "image": image,
            "split": "validation" if n < 4 else "train",
            "truth": truth,
            "predicted": predicted,
        }
        for n, (image, (truth, predicted)) in enumerate(zip(images, given, strict=True))
    ]
