"""Tiny datasets, and what a reader of the report stream makes of it."""

import io
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec
import numpy as np
from PIL import Image

from adapters.blobs.blobs import BlobStore
from domain.training.manifest import canonical_line
from domain.training.messages import (
    AnyReport,
    BatchMetrics,
    Completed,
    ConceptLabel,
    ManifestLine,
    Report,
    Started,
    TrainJob,
)
from domain.training.options import TrainingOptions

COLOURS = {"red": (200, 40, 40), "green": (40, 200, 40), "blue": (40, 40, 200)}
TRAIN_IMAGES, VALIDATION_IMAGES = 34, 6
ITERATIONS_PER_EPOCH = 5

Body = TypeVar("Body")


def png(colour: tuple[int, int, int], seed: int) -> bytes:
    noise = np.random.default_rng(seed).integers(-40, 40, (32, 32, 3))
    pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def coloured_lines(blobs: BlobStore) -> list[ManifestLine]:
    names = list(COLOURS)
    lines = []
    for number in range(TRAIN_IMAGES + VALIDATION_IMAGES):
        colour = names[number % len(names)]
        split = "train" if number < TRAIN_IMAGES else "validation"
        blob = blobs.put(png(COLOURS[colour], number))
        lines.append(ManifestLine(f"image-{number:03}", blob, split, (colour,)))
    return lines


def put_manifest(blobs: BlobStore, lines: Iterable[ManifestLine]) -> str:
    digest, _ = blobs.put_compressed(map(canonical_line, lines))
    return digest


def coloured_job(
    blobs: BlobStore,
    *,
    kind: str = "classification",
    lines: Sequence[ManifestLine] | None = None,
    version_id: str = "v1",
    **options: Any,
) -> TrainJob:
    """Three colours to tell apart: 34 images to train on in 5 batches of 8 (the last has 2)."""
    chosen = {
        "architecture": "mobilenet_v3_small",
        "epochs": 2.0,
        "batch_size": 8,
        "optimizer": "nadam",
        "initial_learning_rate": 2e-3,
        "resizer": "fixed",
        "width": 32,
        "height": 32,
        "seed": 7,
    } | options
    return TrainJob(
        version_id=version_id,
        attempt=1,
        kind=kind,
        concepts=tuple(ConceptLabel(name, name) for name in COLOURS),
        options=msgspec.convert(chosen, TrainingOptions),
        manifest=put_manifest(blobs, coloured_lines(blobs) if lines is None else lines),
        correlation_id="correlation-1",
    )


def of_type(kind: type[Body], bodies: Iterable[AnyReport]) -> list[Body]:
    return [body for body in bodies if isinstance(body, kind)]


def encoded(bodies: Iterable[AnyReport]) -> set[bytes]:
    """Reports as they are sent, whichever came twice."""
    return {msgspec.json.encode(body) for body in bodies}


def figures(bodies: Iterable[AnyReport]) -> dict[int, tuple[float, float]]:
    """Learning rate and loss by iteration; one that is told twice is told the same."""
    known: dict[int, tuple[float, float]] = {}
    for chunk in of_type(BatchMetrics, bodies):
        pairs = zip(chunk.learning_rate, chunk.loss, strict=True)
        for iteration, pair in enumerate(pairs, chunk.first_iteration):
            assert known.setdefault(iteration, pair) == pair, f"iteration {iteration} differs"
    return known


def told_once(bodies: Iterable[AnyReport]) -> bool:
    """Whether the chunks of metrics follow each other with neither gap nor overlap."""
    position = 0
    for chunk in of_type(BatchMetrics, bodies):
        if chunk.first_iteration != position:
            return False
        position += len(chunk.loss)
    return True


def accepted(reports: Iterable[Report]) -> list[AnyReport]:
    """The bodies that the backend takes in: none of a delivery that another has superseded."""
    current, bodies = 0, []
    for report in reports:
        if isinstance(report.body, Started):
            current = max(current, report.delivery)
        if report.delivery >= current:
            bodies.append(report.body)
    return bodies


def final_weights(bodies: Iterable[AnyReport]) -> str:
    (completed,) = of_type(Completed, bodies)
    return completed.final_weights
