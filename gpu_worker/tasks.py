"""Training tasks, one for each kind of view: loss, predictions, metrics and prediction rows.

torchmetrics is imported on use: it takes seconds, in which the training can start.
"""

import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import box_iou

from domain.library.view import CLASSIFICATION, DETECTION, TAGGING
from domain.training.messages import SplitFigures

ACCURACY, MEAN_AVERAGE_PRECISION = "validation_accuracy", "validation_mean_average_precision"
CALIBRATION_ERROR = "calibration_error"
BINS = 10
"""The number of bins of the calibration error."""
_MATCH_IOU = 0.5

# In a group only the first process evaluates: nothing is gathered from the others.
_METRIC_OPTIONS: dict[str, Any] = {"validate_args": False, "sync_on_compute": False}


class UnsupportedTask(Exception):
    """The view's kind is not one that this worker trains."""


class Predictions(NamedTuple):
    """The predictions for a batch: the sum of its losses, the network's outputs, and the scores.

    `finite` is whether all outputs of the network are finite numbers.
    """

    loss: Tensor
    outputs: Any
    scores: Any
    finite: Tensor


class Metrics(Protocol):
    """Accumulates the metrics of a split."""

    def add(self, predictions: Predictions, targets: Any) -> None: ...

    def compute(self) -> dict[str, float]: ...


class Task(Protocol):
    """A training task. `best` names the metric that selects the best checkpoint."""

    best: str
    normalised: bool

    def pin(self, targets: Any) -> Any: ...

    def to_device(self, targets: Any, device: torch.device) -> Any: ...

    def loss(self, model: nn.Module, images: Tensor, targets: Any) -> Tensor: ...

    def outputs(self, model: nn.Module, images: Tensor) -> Any: ...

    def scores(self, model: nn.Module, images: Tensor) -> Any: ...

    def predict(self, model: nn.Module, images: Tensor, targets: Any) -> Predictions: ...

    def metrics(self, device: torch.device) -> Metrics: ...

    def rows(
        self, predictions: Predictions, targets: Any, sizes: list[tuple[int, int]]
    ) -> Iterator[dict[str, Any]]: ...

    def value(self, metrics: SplitFigures) -> float: ...


class _Labels:
    """Shared by classification and tagging: targets are one tensor, outputs are logits."""

    normalised = True

    def outputs(self, model: nn.Module, images: Tensor) -> Tensor:
        """The logits, (images, concepts)."""
        logits: Tensor = model(images).float()
        return logits

    def pin(self, targets: Tensor) -> Tensor:
        return targets.pin_memory()

    def to_device(self, targets: Tensor, device: torch.device) -> Tensor:
        return targets.to(device, non_blocking=True)


class Classification(_Labels):
    """Exactly one concept per image: softmax and cross-entropy."""

    best = ACCURACY

    def __init__(self, concepts: int) -> None:
        self._concepts = concepts

    def loss(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(self.outputs(model, images), targets)

    def scores(self, model: nn.Module, images: Tensor) -> Tensor:
        return self.outputs(model, images).softmax(1)

    def predict(self, model: nn.Module, images: Tensor, targets: Tensor) -> Predictions:
        logits = self.outputs(model, images)
        loss = functional.cross_entropy(logits, targets, reduction="sum")
        return Predictions(loss, logits, logits.softmax(1), logits.isfinite().all())

    def metrics(self, device: torch.device) -> Metrics:
        from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError

        accuracy = MulticlassAccuracy(self._concepts, average="micro", **_METRIC_OPTIONS)
        error = MulticlassCalibrationError(self._concepts, n_bins=BINS, **_METRIC_OPTIONS)
        metrics = {"accuracy": accuracy.to(device), CALIBRATION_ERROR: error.to(device)}
        return _LabelMetrics(metrics)

    def rows(
        self,
        predictions: Predictions,
        targets: Tensor,
        sizes: list[tuple[int, int]],  # noqa: ARG002
    ) -> Iterator[dict[str, Any]]:
        for scores, target in zip(predictions.scores.tolist(), targets.tolist(), strict=True):
            yield {"truth": [target], "scores": scores}

    def value(self, metrics: SplitFigures) -> float:
        return metrics.accuracy or 0.0


class Tagging(_Labels):
    """Each concept yes or no: sigmoid and binary cross-entropy, averaged over the concepts."""

    best = MEAN_AVERAGE_PRECISION

    def __init__(self, concepts: int) -> None:
        self._concepts = concepts

    def loss(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(self.outputs(model, images), targets)

    def scores(self, model: nn.Module, images: Tensor) -> Tensor:
        return self.outputs(model, images).sigmoid()

    def predict(self, model: nn.Module, images: Tensor, targets: Tensor) -> Predictions:
        logits = self.outputs(model, images)
        loss = functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
        loss = loss / self._concepts
        return Predictions(loss, logits, logits.sigmoid(), logits.isfinite().all())

    def metrics(self, device: torch.device) -> Metrics:
        return _TagMetrics(self._concepts, device)

    def rows(
        self,
        predictions: Predictions,
        targets: Tensor,
        sizes: list[tuple[int, int]],  # noqa: ARG002
    ) -> Iterator[dict[str, Any]]:
        for scores, tags in zip(predictions.scores.tolist(), targets.cpu(), strict=True):
            yield {"truth": tags.nonzero().flatten().tolist(), "scores": scores}

    def value(self, metrics: SplitFigures) -> float:
        return metrics.mean_average_precision or 0.0


class _LabelMetrics:
    """Metrics of scores and targets, by torchmetrics."""

    def __init__(self, metrics: dict[str, Any]) -> None:
        self._metrics = metrics

    def add(self, predictions: Predictions, targets: Tensor) -> None:
        for metric in self._metrics.values():
            metric.update(predictions.scores, targets.long())

    def compute(self) -> dict[str, float]:
        return {name: float(metric.compute()) for name, metric in self._metrics.items()}


class _TagMetrics:
    """The mean average precision is over the concepts that some image of the split holds."""

    def __init__(self, concepts: int, device: torch.device) -> None:
        from torchmetrics.classification import (
            BinaryCalibrationError,
            MultilabelAccuracy,
            MultilabelAveragePrecision,
        )

        self._accuracy = MultilabelAccuracy(concepts, average="micro", **_METRIC_OPTIONS)
        self._precision = MultilabelAveragePrecision(concepts, average="none", **_METRIC_OPTIONS)
        self._error = BinaryCalibrationError(n_bins=BINS, **_METRIC_OPTIONS).to(device)
        self._metrics = [self._accuracy.to(device), self._precision.to(device)]
        self._present = torch.zeros(concepts, dtype=torch.bool, device=device)

    def add(self, predictions: Predictions, targets: Tensor) -> None:
        tags = targets.long()
        self._present |= tags.any(0)
        for metric in self._metrics:
            metric.update(predictions.scores, tags)
        self._error.update(predictions.scores.flatten(), tags.flatten())

    def compute(self) -> dict[str, float]:
        metrics = {
            "accuracy": float(self._accuracy.compute()),
            CALIBRATION_ERROR: float(self._error.compute()),
        }
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "No positive samples")
            precision = self._precision.compute()[self._present]
        if len(precision):
            metrics["mean_average_precision"] = float(precision.mean())
        return metrics


class Detection:
    """Boxes of one concept each: torchvision's detectors, which bring their own losses."""

    best = MEAN_AVERAGE_PRECISION
    normalised = False

    def pin(self, targets: list[dict[str, Tensor]]) -> list[dict[str, Tensor]]:
        return [
            {name: tensor.pin_memory() for name, tensor in target.items()} for target in targets
        ]

    def to_device(
        self, targets: list[dict[str, Tensor]], device: torch.device
    ) -> list[dict[str, Tensor]]:
        return [
            {name: tensor.to(device, non_blocking=True) for name, tensor in target.items()}
            for target in targets
        ]

    def loss(self, model: nn.Module, images: Tensor, targets: list[dict[str, Tensor]]) -> Tensor:
        losses = model(list(images), targets)
        return torch.stack([loss.float() for loss in losses.values()]).sum()

    def outputs(self, model: nn.Module, images: Tensor) -> list[dict[str, Tensor]]:
        boxes: list[dict[str, Tensor]] = model(list(images))
        return boxes

    scores = outputs

    def predict(
        self, model: nn.Module, images: Tensor, targets: list[dict[str, Tensor]]
    ) -> Predictions:
        """Detectors return losses only in training mode; batch normalisation stays fixed."""
        boxes = self.outputs(model, images)
        model.train()
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        loss = self.loss(model, images, targets)
        model.eval()
        finite = torch.stack(
            [tensor.isfinite().all() for image in boxes for tensor in image.values()]
        )
        return Predictions(loss * len(images), boxes, boxes, finite.all())

    def metrics(self, device: torch.device) -> Metrics:  # noqa: ARG002
        return _BoxMetrics()

    def rows(
        self,
        predictions: Predictions,
        targets: list[dict[str, Tensor]],
        sizes: list[tuple[int, int]],
    ) -> Iterator[dict[str, Any]]:
        for predicted, target, size in zip(predictions.scores, targets, sizes, strict=True):
            yield {
                "truth": list(relative_boxes(target, size)),
                "predicted": [
                    box | {"score": score, "matched": matched}
                    for box, score, matched in zip(
                        relative_boxes(predicted, size),
                        predicted["scores"].tolist(),
                        match(predicted, target),
                        strict=True,
                    )
                ],
            }

    def value(self, metrics: SplitFigures) -> float:
        return metrics.mean_average_precision or 0.0


class _BoxMetrics:
    """COCO's mean average precision, by faster-coco-eval."""

    def __init__(self) -> None:
        from torchmetrics.detection import MeanAveragePrecision

        self._metric = MeanAveragePrecision(backend="faster_coco_eval", sync_on_compute=False)
        self._metric.warn_on_many_detections = False

    def add(self, predictions: Predictions, targets: list[dict[str, Tensor]]) -> None:
        predicted = [
            {name: tensor.cpu() for name, tensor in image.items()} for image in predictions.scores
        ]
        self._metric.update(
            predicted, [{name: tensor.cpu() for name, tensor in image.items()} for image in targets]
        )

    def compute(self) -> dict[str, float]:
        values = self._metric.compute()
        names = {"mean_average_precision": "map", "map_50": "map_50", "map_75": "map_75"}
        return {ours: max(float(values[theirs]), 0.0) for ours, theirs in names.items()}


def relative_boxes(boxes: dict[str, Tensor], size: tuple[int, int]) -> Iterator[dict[str, Any]]:
    """Boxes as fractions of the image, which fills a part of the pixels."""
    width, height = size
    for label, corners in zip(boxes["labels"].tolist(), boxes["boxes"].tolist(), strict=True):
        left, right = (min(max(side / width, 0.0), 1.0) for side in corners[::2])
        top, bottom = (min(max(side / height, 0.0), 1.0) for side in corners[1::2])
        yield {
            "concept": label - 1,
            "x": left,
            "y": top,
            "width": right - left,
            "height": bottom - top,
        }


def match(predicted: dict[str, Tensor], target: dict[str, Tensor]) -> list[int]:
    """The index of the true box that each predicted box matches, or -1.

    As in COCO: by falling score, each matches the box of its concept with the largest IoU, at
    least 0.5, among those not matched yet.
    """
    if not len(target["boxes"]):
        return [-1] * len(predicted["boxes"])
    overlaps = box_iou(predicted["boxes"], target["boxes"]).cpu()
    overlaps[predicted["labels"].cpu()[:, None] != target["labels"].cpu()[None, :]] = 0
    matches = []
    for row in overlaps:
        overlap, index = row.max(0)
        matched = int(index) if overlap >= _MATCH_IOU else -1
        if matched >= 0:
            overlaps[:, matched] = 0
        matches.append(matched)
    return matches


def task_for(kind: str, concepts: int) -> Task:
    """The task of a kind of view. Raises `UnsupportedTask`."""
    match kind:
        case name if name == CLASSIFICATION:
            return Classification(concepts)
        case name if name == TAGGING:
            return Tagging(concepts)
        case name if name == DETECTION:
            return Detection()
    raise UnsupportedTask(f"this worker cannot train {kind!r}")
