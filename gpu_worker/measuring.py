"""What an epoch's items measure, by the kind of view: columns of docs/decisions/0043.

Numbers stay on the device until all batches are measured: fetching each would make a GPU wait.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from adapters.flip_book.boxes import image_loss, judge_boxes
from domain.library.view import DETECTION, TAGGING
from gpu_worker.progress import NonFinite
from gpu_worker.tasks import relative_boxes

LEAST_STORED_SCORE = 0.1
MOST_STORED_BOXES = 20

Sizes = Sequence[tuple[int, int]]
Numbers = NDArray[Any]


class Measured(Protocol):
    """The measurements of images, in the order in which they are added."""

    def add(self, outputs: Any, targets: Any, sizes: Sizes) -> None:
        """Add a batch; `outputs` are what the task's `outputs` gives."""
        ...

    def columns(self, chosen: NDArray[np.int64]) -> dict[str, Any]:
        """The columns of chosen images, which are numbered from 0, with a row for each item."""
        ...


class _Labels:
    """Measurements that are a tensor for each batch: a row for each image."""

    def __init__(self) -> None:
        self._batches: list[Tensor] = []

    def _chosen(self, chosen: NDArray[np.int64]) -> Numbers:
        if not self._batches:
            return np.zeros((0, 5), np.float32)
        numbers: Numbers = torch.cat(self._batches).cpu().numpy()[chosen]
        if not np.isfinite(numbers).all():
            raise NonFinite("network's output", "on the recorded images")
        return numbers


class MeasuredClasses(_Labels):
    """Of each image: concept, predicted concept, probability, margin and loss."""

    def add(self, outputs: Tensor, targets: Tensor, sizes: Sizes) -> None:  # noqa: ARG002
        own = targets[:, None]
        log_probability = functional.log_softmax(outputs, 1).gather(1, own)[:, 0]
        others = outputs.scatter(1, own, -torch.inf)
        self._batches.append(
            torch.stack(
                [
                    targets.float(),
                    outputs.argmax(1).float(),
                    log_probability.exp(),
                    outputs.gather(1, own)[:, 0] - others.amax(1),
                    -log_probability,
                ],
                1,
            )
        )

    def columns(self, chosen: NDArray[np.int64]) -> dict[str, Any]:
        numbers = self._chosen(chosen)
        return {
            "concept": numbers[:, 0].astype(np.int32),
            "predicted": numbers[:, 1].astype(np.int32),
            "probability": numbers[:, 2],
            "margin": numbers[:, 3],
            "loss": numbers[:, 4],
        }


class MeasuredTags(_Labels):
    """Of each image and concept: truth, predicted, probability of the truth, margin and loss."""

    def __init__(self, concepts: int) -> None:
        super().__init__()
        self._concepts = concepts

    def add(self, outputs: Tensor, targets: Tensor, sizes: Sizes) -> None:  # noqa: ARG002
        margin = torch.where(targets > 0, outputs, -outputs)
        self._batches.append(
            torch.stack(
                [targets, outputs >= 0, margin.sigmoid(), margin, functional.softplus(-margin)], 2
            )
        )

    def columns(self, chosen: NDArray[np.int64]) -> dict[str, Any]:
        numbers = self._chosen(chosen).reshape(-1, 5)
        return {
            "concept": np.tile(np.arange(self._concepts, dtype=np.int32), len(chosen)),
            "truth": numbers[:, 0] > 0,
            "predicted": numbers[:, 1] > 0,
            "probability": numbers[:, 2],
            "margin": numbers[:, 3],
            "loss": numbers[:, 4],
        }


class MeasuredBoxes:
    """Of each image: its loss, its true boxes and its predicted boxes with their outcomes."""

    def __init__(self) -> None:
        self._images: list[tuple[dict[str, Tensor], dict[str, Tensor], tuple[int, int]]] = []

    def add(
        self, outputs: list[dict[str, Tensor]], targets: list[dict[str, Tensor]], sizes: Sizes
    ) -> None:
        self._images.extend(zip(outputs, targets, sizes, strict=True))

    def columns(self, chosen: NDArray[np.int64]) -> dict[str, Any]:
        rows = [_judged(*self._images[number]) for number in chosen.tolist()]
        return {name: [row[name] for row in rows] for name in ("loss", "truth", "boxes")}


def _judged(
    predicted: dict[str, Tensor], target: dict[str, Tensor], size: tuple[int, int]
) -> dict[str, Any]:
    scores = predicted["scores"].float().cpu().numpy().astype(np.float64)
    if not np.isfinite(scores).all():
        raise NonFinite("network's output", "on the recorded images")
    order = np.argsort(-scores, kind="stable")
    scores = scores[order]
    found = list(relative_boxes(predicted, size))
    boxes = [found[place] for place in order.tolist()]
    true = list(relative_boxes(target, size))
    true_boxes, box_outcomes = judge_boxes(*_arrays(true), *_arrays(boxes), scores)
    stored = np.flatnonzero(scores >= LEAST_STORED_SCORE)[:MOST_STORED_BOXES].tolist()
    return {
        "loss": image_loss(true_boxes, box_outcomes, scores),
        "truth": [
            box
            | {
                "outcome": true_boxes.outcome[n],
                "predicted": int(true_boxes.predicted[n]),
                "probability": float(true_boxes.probability[n]),
                "margin": float(true_boxes.margin[n]),
                "loss": float(true_boxes.loss[n]),
            }
            for n, box in enumerate(true)
        ],
        "boxes": [
            boxes[n]
            | {
                "score": float(scores[n]),
                "outcome": box_outcomes.outcome[n],
                "matched": int(box_outcomes.matched[n]),
            }
            for n in stored
        ],
    }


def _arrays(boxes: list[dict[str, Any]]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    concepts = np.array([box["concept"] for box in boxes], np.int64)
    sides = [[box[side] for side in ("x", "y", "width", "height")] for box in boxes]
    return concepts, np.array(sides, np.float64).reshape(-1, 4)


def measured_by(kind: str, concepts: int) -> Measured:
    """An empty collection of measurements of a kind of view."""
    if kind == DETECTION:
        return MeasuredBoxes()
    return MeasuredTags(concepts) if kind == TAGGING else MeasuredClasses()
