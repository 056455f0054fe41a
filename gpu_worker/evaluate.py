"""The figures of a model on the validation images."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from gpu_worker.data import ImageSet, batches
from gpu_worker.progress import NonFiniteLoss

_LARGEST = torch.finfo(torch.float32).max


@dataclass(frozen=True)
class Figures:
    """The mean cross-entropy, and the share of images whose highest logit is the right one.

    A loss that is infinite counts as float32's largest number. In the first iterations of a
    deep network that happens to sound weights, while batch normalisation's averages still lag.
    """

    loss: float
    accuracy: float


@torch.inference_mode()
def evaluate(model: nn.Module, images: ImageSet, batch_size: int, device: torch.device) -> Figures:
    """Run the model over all images. Raises `NonFiniteLoss` if its weights are no numbers."""
    model.eval()
    everything = np.arange(len(images))
    chunks = np.split(everything, range(batch_size, len(images), batch_size))
    loss = torch.zeros((), dtype=torch.float64, device=device)
    right = torch.zeros((), dtype=torch.int64, device=device)
    for pixels, targets in batches(images, chunks, device):
        logits = model(pixels)
        loss += cross_entropy(logits, targets, reduction="sum")
        right += (logits.argmax(1) == targets).sum()
    mean = loss.item() / len(images)
    if not math.isfinite(mean):
        if not all(tensor.isfinite().all() for tensor in model.parameters()):
            raise NonFiniteLoss("on the validation images")
        mean = _LARGEST
    return Figures(mean, right.item() / len(images))
