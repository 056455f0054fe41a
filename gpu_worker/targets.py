"""Targets of a split's images, in the form that the task's loss takes."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from domain.dataset.image import TRAIN
from domain.library.view import CLASSIFICATION, DETECTION, TAGGING
from domain.training.jobs import PredictJob
from domain.training.messages import ManifestLine, TrainJob

Boxes = Sequence[tuple[Tensor, Tensor]]
"""For each image its boxes, (n, 4) corners in pixels, and their places among all it has."""

_LEAST_SIDE = 0.01
"""Of a box, in pixels: detectors refuse one whose corners are the same 32-bit numbers."""


class DatasetUnusable(Exception):
    """The manifest is missing, damaged, or not one that this kind of view can train on."""


class Targets(Protocol):
    """`labels` are the numbers of the concepts that each image holds, once for each box."""

    labels: list[list[int]]
    boxed: bool

    def collate(self, indices: NDArray[np.int64], boxes: Boxes | None) -> Any: ...

    def corners(self, index: int, size: tuple[int, int]) -> Tensor: ...


class _Unboxed:
    boxed = False
    _none = torch.zeros((0, 4))

    def corners(self, index: int, size: tuple[int, int]) -> Tensor:  # noqa: ARG002
        return self._none


class Classes(_Unboxed):
    """One concept an image: int64 of shape (n,)."""

    def __init__(self, labels: list[list[int]]) -> None:
        self.labels = labels
        self._numbers = np.array([image_labels[0] for image_labels in labels], np.int64)

    def collate(self, indices: NDArray[np.int64], boxes: Boxes | None) -> Tensor:  # noqa: ARG002
        return torch.from_numpy(self._numbers[indices])


class Tags(_Unboxed):
    """Each concept yes or no: float32 of shape (n, concepts)."""

    def __init__(self, labels: list[list[int]], concepts: int) -> None:
        self.labels = labels
        self._concepts = concepts

    def collate(self, indices: NDArray[np.int64], boxes: Boxes | None) -> Tensor:  # noqa: ARG002
        tags = torch.zeros(len(indices), self._concepts)
        for row, index in enumerate(indices.tolist()):
            tags[row, self.labels[index]] = 1
        return tags


class BoxesOfImages:
    """Boxes as torchvision's detectors take them, whose labels count from 1."""

    boxed = True

    def __init__(self, labels: list[list[int]], shares: list[NDArray[np.float64]]) -> None:
        self.labels = labels
        self._shares = [boxes.reshape(-1, 4) for boxes in shares]

    def collate(self, indices: NDArray[np.int64], boxes: Boxes | None) -> list[dict[str, Tensor]]:
        assert boxes is not None
        return [
            {
                "boxes": corners,
                "labels": torch.tensor(self.labels[index], dtype=torch.int64)[kept] + 1,
            }
            for index, (corners, kept) in zip(indices.tolist(), boxes, strict=True)
        ]

    def corners(self, index: int, size: tuple[int, int]) -> Tensor:
        width, height = size
        shares = self._shares[index]
        corners = np.concatenate((shares[:, :2], shares[:, :2] + shares[:, 2:]), 1)
        boxes = torch.from_numpy(corners * (width, height, width, height)).float()
        first = boxes[:, :2].minimum(torch.tensor([width, height]) - _LEAST_SIDE)
        return torch.cat((first, boxes[:, 2:].maximum(first + _LEAST_SIDE)), 1)


def targets_of(job: TrainJob | PredictJob, lines: Sequence[ManifestLine]) -> Targets:
    """Raises `DatasetUnusable` for a line that does not fit the job's kind."""
    outputs = {concept.concept_id: number for number, concept in enumerate(job.concepts)}
    labels = []
    for line in lines:
        in_model = all(concept in outputs for concept in line.concepts)
        if not in_model or (job.kind == CLASSIFICATION and len(line.concepts) != 1):
            raise DatasetUnusable(
                f"image {line.image} is annotated with {list(line.concepts)};"
                f" {job.kind} takes {_TAKES[job.kind]} of the model's concepts"
            )
        labels.append([outputs[concept] for concept in line.concepts])
    if job.kind == CLASSIFICATION:
        return Classes(labels)
    if job.kind != DETECTION:
        return Tags(labels, len(outputs))
    for line in lines:
        # Others may have none: every box that is found there is a false positive.
        if len(line.boxes) != len(line.concepts) or (line.split == TRAIN and not line.boxes):
            raise DatasetUnusable(f"image {line.image} does not have a box for each concept")
    return BoxesOfImages(labels, [np.array(line.boxes, np.float64) for line in lines])


def unknown_targets(job: TrainJob | PredictJob, lines: Sequence[ManifestLine]) -> Targets:
    """Targets of images of which nobody knows what they hold."""
    labels: list[list[int]] = [[] for _ in lines]
    if job.kind == DETECTION:
        return BoxesOfImages(labels, [np.zeros((0, 4)) for _ in lines])
    return Tags(labels, len(job.concepts))


_TAKES = {CLASSIFICATION: "exactly one", TAGGING: "any", DETECTION: "boxes"}
