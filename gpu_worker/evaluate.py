"""Evaluation: the metrics of a model on a split's images, and its predictions for them."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn

from adapters.evaluation.predictions import PredictionsFile
from domain.training.messages import SplitFigures
from gpu_worker.data import Draw, ImageSet, batches, in_order
from gpu_worker.progress import NonFinite
from gpu_worker.tasks import Task

Observer = Callable[[Sequence[Draw], Any, Any], None]
"""Gets a batch's draws, the network's outputs and the targets."""


@torch.no_grad()
def evaluate(
    task: Task,
    model: nn.Module,
    images: ImageSet,
    batch_size: int,
    device: torch.device,
    precision: Callable[[], AbstractContextManager[object]],
    predictions: PredictionsFile | None = None,
    observe: Observer | None = None,
) -> SplitFigures:
    """Run the model over all images; the predictions of each go into the file.

    `observe` gets each batch's draws, outputs of the network and targets.

    Raises `NonFinite` if an output, the loss or a metric is not a finite number: predictions would
    be arbitrary, and the metrics would not show it. Weights can be finite then, as batch
    normalisation replaces its averages by the batch's own while it trains.
    """
    model.eval()
    chunks = in_order(images, batch_size)
    loss = torch.zeros((), dtype=torch.float64, device=device)
    finite = torch.ones((), dtype=torch.bool, device=device)
    metrics = task.metrics(device)
    for draws, batch in zip(chunks, batches(task, images, chunks, device), strict=True):
        with precision():
            outputs = task.predict(model, batch.images, batch.targets)
        loss += outputs.loss
        finite &= outputs.finite
        metrics.add(outputs, batch.targets)
        if observe is not None:
            observe(draws, outputs.outputs, batch.targets)
        if predictions is not None:
            sizes = [images.size_of(draw.image) for draw in draws]
            rows = task.rows(outputs, batch.targets, sizes)
            for draw, row in zip(draws, rows, strict=True):
                line = images.lines[draw.image]
                predictions.add({"image": line.image, "split": line.split} | row)
    where = f"on the {images.lines[0].split} images"
    if not finite:
        raise NonFinite("network's output", where)
    values = {"loss": loss.item() / len(images)} | metrics.compute()
    for name, value in values.items():
        if not math.isfinite(value):
            raise NonFinite(name.replace("_", " "), where)
    return SplitFigures(images=len(images), **values)
