"""The kinds of view as a training sees them: loss, answers, figures, and what is kept of them.

torchmetrics is imported by what measures: it takes seconds, in which the training can begin.
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
_MATCH_IOU = 0.5

# Of a group only the first process measures: there is nothing to gather from the others.
_METRIC_OPTIONS: dict[str, Any] = {"validate_args": False, "sync_on_compute": False}


class UnsupportedTask(Exception):
    """The view's kind is not one that this worker trains."""


class Predictions(NamedTuple):
    """What a model says of a batch: the sum of its losses, and the kind's scores.

    A label's score that is no number, as where the outputs overflow, is 0.
    """

    loss: Tensor
    scores: Any


class Metrics(Protocol):
    """Collects what the figures of a split are computed from."""

    def add(self, answers: Predictions, targets: Any) -> None: ...

    def compute(self) -> dict[str, float]: ...


class Task(Protocol):
    """`best` names the figure that the saved checkpoint is best by."""

    best: str
    normalised: bool

    def pin(self, targets: Any) -> Any: ...

    def to_device(self, targets: Any, device: torch.device) -> Any: ...

    def loss(self, model: nn.Module, images: Tensor, targets: Any) -> Tensor: ...

    def scores(self, model: nn.Module, images: Tensor) -> Any: ...

    def predict(self, model: nn.Module, images: Tensor, targets: Any) -> Predictions: ...

    def metrics(self, device: torch.device) -> Metrics: ...

    def rows(
        self, answers: Predictions, targets: Any, sizes: list[tuple[int, int]]
    ) -> Iterator[dict[str, Any]]: ...

    def value(self, figures: SplitFigures) -> float: ...


class _Labels:
    """What classification and tagging share: targets are one tensor, answers logits."""

    normalised = True

    def pin(self, targets: Tensor) -> Tensor:
        return targets.pin_memory()

    def to_device(self, targets: Tensor, device: torch.device) -> Tensor:
        return targets.to(device, non_blocking=True)


class Classification(_Labels):
    """Exactly one concept an image: softmax and cross-entropy."""

    best = ACCURACY

    def __init__(self, concepts: int) -> None:
        self._concepts = concepts

    def loss(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(model(images).float(), targets)

    def scores(self, model: nn.Module, images: Tensor) -> Tensor:
        scores: Tensor = model(images).float().softmax(1)
        return scores

    def predict(self, model: nn.Module, images: Tensor, targets: Tensor) -> Predictions:
        logits = model(images).float()
        loss = functional.cross_entropy(logits, targets, reduction="sum")
        return Predictions(loss, logits.softmax(1).nan_to_num())

    def metrics(self, device: torch.device) -> Metrics:
        from torchmetrics.classification import MulticlassAccuracy

        accuracy = MulticlassAccuracy(self._concepts, average="micro", **_METRIC_OPTIONS)
        return _LabelMetrics({"accuracy": accuracy.to(device)})

    def rows(
        self,
        answers: Predictions,
        targets: Tensor,
        sizes: list[tuple[int, int]],  # noqa: ARG002
    ) -> Iterator[dict[str, Any]]:
        for scores, target in zip(answers.scores.tolist(), targets.tolist(), strict=True):
            yield {"truth": [target], "scores": scores}

    def value(self, figures: SplitFigures) -> float:
        return figures.accuracy or 0.0


class Tagging(_Labels):
    """Each concept yes or no: sigmoid and binary cross-entropy, averaged over the concepts."""

    best = MEAN_AVERAGE_PRECISION

    def __init__(self, concepts: int) -> None:
        self._concepts = concepts

    def loss(self, model: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(model(images).float(), targets)

    def scores(self, model: nn.Module, images: Tensor) -> Tensor:
        scores: Tensor = model(images).float().sigmoid()
        return scores

    def predict(self, model: nn.Module, images: Tensor, targets: Tensor) -> Predictions:
        logits = model(images).float()
        loss = functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
        return Predictions(loss / self._concepts, logits.sigmoid().nan_to_num())

    def metrics(self, device: torch.device) -> Metrics:
        return _TagMetrics(self._concepts, device)

    def rows(
        self,
        answers: Predictions,
        targets: Tensor,
        sizes: list[tuple[int, int]],  # noqa: ARG002
    ) -> Iterator[dict[str, Any]]:
        for scores, held in zip(answers.scores.tolist(), targets.cpu(), strict=True):
            yield {"truth": held.nonzero().flatten().tolist(), "scores": scores}

    def value(self, figures: SplitFigures) -> float:
        return figures.mean_average_precision or 0.0


class _LabelMetrics:
    """torchmetrics of scores and targets."""

    def __init__(self, metrics: dict[str, Any]) -> None:
        self._metrics = metrics

    def add(self, answers: Predictions, targets: Tensor) -> None:
        for metric in self._metrics.values():
            metric.update(answers.scores, targets.long())

    def compute(self) -> dict[str, float]:
        return {name: float(metric.compute()) for name, metric in self._metrics.items()}


class _TagMetrics:
    """The mean average precision is over the concepts that some image of the split holds."""

    def __init__(self, concepts: int, device: torch.device) -> None:
        from torchmetrics.classification import MultilabelAccuracy, MultilabelAveragePrecision

        self._accuracy = MultilabelAccuracy(concepts, average="micro", **_METRIC_OPTIONS)
        self._precision = MultilabelAveragePrecision(concepts, average="none", **_METRIC_OPTIONS)
        self._metrics = [self._accuracy.to(device), self._precision.to(device)]
        self._held = torch.zeros(concepts, dtype=torch.bool, device=device)

    def add(self, answers: Predictions, targets: Tensor) -> None:
        held = targets.long()
        self._held |= held.any(0)
        for metric in self._metrics:
            metric.update(answers.scores, held)

    def compute(self) -> dict[str, float]:
        found = {"accuracy": float(self._accuracy.compute())}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "No positive samples")
            precision = self._precision.compute()[self._held]
        if len(precision):
            found["mean_average_precision"] = float(precision.mean())
        return found


class Detection:
    """Boxes of one concept each: torchvision's detectors, which bring their own losses."""

    best = MEAN_AVERAGE_PRECISION
    normalised = False

    def pin(self, targets: list[dict[str, Tensor]]) -> list[dict[str, Tensor]]:
        return [{name: one.pin_memory() for name, one in target.items()} for target in targets]

    def to_device(
        self, targets: list[dict[str, Tensor]], device: torch.device
    ) -> list[dict[str, Tensor]]:
        return [
            {name: one.to(device, non_blocking=True) for name, one in target.items()}
            for target in targets
        ]

    def loss(self, model: nn.Module, images: Tensor, targets: list[dict[str, Tensor]]) -> Tensor:
        losses = model(list(images), targets)
        return torch.stack([loss.float() for loss in losses.values()]).sum()

    def scores(self, model: nn.Module, images: Tensor) -> list[dict[str, Tensor]]:
        found: list[dict[str, Tensor]] = model(list(images))
        return found

    def predict(
        self, model: nn.Module, images: Tensor, targets: list[dict[str, Tensor]]
    ) -> Predictions:
        """Detectors give their losses only as in training, but batch normalisation must not."""
        boxes = self.scores(model, images)
        model.train()
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        loss = self.loss(model, images, targets)
        model.eval()
        return Predictions(loss * len(images), boxes)

    def metrics(self, device: torch.device) -> Metrics:  # noqa: ARG002
        return _BoxMetrics()

    def rows(
        self,
        answers: Predictions,
        targets: list[dict[str, Tensor]],
        sizes: list[tuple[int, int]],
    ) -> Iterator[dict[str, Any]]:
        for said, target, size in zip(answers.scores, targets, sizes, strict=True):
            yield {
                "truth": list(relative_boxes(target, size)),
                "predicted": [
                    box | {"score": score, "matched": matched}
                    for box, score, matched in zip(
                        relative_boxes(said, size),
                        said["scores"].tolist(),
                        match(said, target),
                        strict=True,
                    )
                ],
            }

    def value(self, figures: SplitFigures) -> float:
        return figures.mean_average_precision or 0.0


class _BoxMetrics:
    """COCO's mean average precision, by faster-coco-eval."""

    def __init__(self) -> None:
        from torchmetrics.detection import MeanAveragePrecision

        self._metric = MeanAveragePrecision(backend="faster_coco_eval", sync_on_compute=False)
        self._metric.warn_on_many_detections = False

    def add(self, answers: Predictions, targets: list[dict[str, Tensor]]) -> None:
        said = [{name: one.cpu() for name, one in image.items()} for image in answers.scores]
        self._metric.update(
            said, [{name: one.cpu() for name, one in image.items()} for image in targets]
        )

    def compute(self) -> dict[str, float]:
        found = self._metric.compute()
        names = {"mean_average_precision": "map", "map_50": "map_50", "map_75": "map_75"}
        return {ours: max(float(found[theirs]), 0.0) for ours, theirs in names.items()}


def relative_boxes(said: dict[str, Tensor], size: tuple[int, int]) -> Iterator[dict[str, Any]]:
    """Boxes as shares of the image, which fills a part of the pixels."""
    width, height = size
    for label, corners in zip(said["labels"].tolist(), said["boxes"].tolist(), strict=True):
        left, right = (min(max(side / width, 0.0), 1.0) for side in corners[::2])
        top, bottom = (min(max(side / height, 0.0), 1.0) for side in corners[1::2])
        yield {
            "concept": label - 1,
            "x": left,
            "y": top,
            "width": right - left,
            "height": bottom - top,
        }


def match(said: dict[str, Tensor], target: dict[str, Tensor]) -> list[int]:
    """The place of the true box that each predicted one finds, or -1.

    As COCO does it: by falling score, each takes the box of its concept that it overlaps most, by
    0.5 (IoU) at least, of those that none has taken yet.
    """
    if not len(target["boxes"]):
        return [-1] * len(said["boxes"])
    overlaps = box_iou(said["boxes"], target["boxes"]).cpu()
    overlaps[said["labels"].cpu()[:, None] != target["labels"].cpu()[None, :]] = 0
    found = []
    for row in overlaps:
        overlap, place = row.max(0)
        matched = int(place) if overlap >= _MATCH_IOU else -1
        if matched >= 0:
            overlaps[:, matched] = 0
        found.append(matched)
    return found


def task_for(kind: str, concepts: int) -> Task:
    """Raises `UnsupportedTask`."""
    match kind:
        case known if known == CLASSIFICATION:
            return Classification(concepts)
        case known if known == TAGGING:
            return Tagging(concepts)
        case known if known == DETECTION:
            return Detection()
    raise UnsupportedTask(f"this worker cannot train {kind!r}")
