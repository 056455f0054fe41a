"""Evaluation: the metrics of a model on a split's images, and its predictions for them."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import nn

from adapters.evaluation.predictions import PredictionsFile
from domain.training.messages import SplitFigures
from gpu_worker.data import ImageSet, batches, in_order
from gpu_worker.progress import NonFiniteLoss
from gpu_worker.tasks import Task

_LARGEST = torch.finfo(torch.float32).max


@torch.no_grad()
def evaluate(
    task: Task,
    model: nn.Module,
    images: ImageSet,
    batch_size: int,
    device: torch.device,
    precision: Callable[[], AbstractContextManager[object]],
    predictions: PredictionsFile | None = None,
) -> SplitFigures:
    """Run the model over all images; the predictions of each go into the file.

    A loss that is infinite counts as float32's largest number. This happens to finite weights in
    the first iterations of a deep network, while batch normalisation's averages still lag. Raises
    `NonFiniteLoss` if the weights are not finite.
    """
    model.eval()
    chunks = in_order(images, batch_size)
    loss = torch.zeros((), dtype=torch.float64, device=device)
    metrics = task.metrics(device)
    for draws, batch in zip(chunks, batches(task, images, chunks, device), strict=True):
        with precision():
            outputs = task.predict(model, batch.images, batch.targets)
        loss += outputs.loss
        metrics.add(outputs, batch.targets)
        if predictions is not None:
            sizes = [images.size_of(draw.image) for draw in draws]
            rows = task.rows(outputs, batch.targets, sizes)
            for draw, row in zip(draws, rows, strict=True):
                line = images.lines[draw.image]
                predictions.add({"image": line.image, "split": line.split} | row)
    mean = loss.item() / len(images)
    if not math.isfinite(mean):
        if not all(tensor.isfinite().all() for tensor in model.parameters()):
            raise NonFiniteLoss("on the validation images")
        mean = _LARGEST
    return SplitFigures(images=len(images), loss=mean, **metrics.compute())
