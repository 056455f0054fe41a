"""The state of a training as bytes: the weights, and everything that resumption needs."""

import io
import math
import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import nn
from torch.amp import GradScaler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


@dataclass(frozen=True)
class Best:
    """The best weights so far: their blob, their metric, the epoch (from 1), the validation loss.

    A resumable checkpoint of an earlier release has no loss; it counts as infinite.
    """

    checkpoint: str
    value: float
    epoch: int
    loss: float = math.inf

    def is_beaten_by(self, value: float, loss: float) -> bool:
        """Whether another epoch is better: a higher metric, or the same one at a lower loss."""
        return (value, -loss) > (self.value, -self.loss)


@dataclass
class Run:
    """A training under way. `iteration` counts those done, over all epochs."""

    model: nn.Module
    optimizer: Optimizer
    scheduler: LRScheduler
    scaler: GradScaler
    iteration: int = 0
    best: Best | None = None


def weights(model: nn.Module) -> bytes:
    """The state dict as safetensors; equal weights give equal bytes."""
    return safetensors.torch.save(
        {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    )


def load_weights(model: nn.Module, data: bytes) -> None:
    model.load_state_dict(safetensors.torch.load(data))


def freeze(run: Run) -> bytes:
    """Everything that a resumed training needs to continue as if it had never stopped."""
    buffer = io.BytesIO()
    torch.save(
        {
            "iteration": run.iteration,
            "best": None if run.best is None else vars(run.best),
            "model": run.model.state_dict(),
            "optimizer": run.optimizer.state_dict(),
            "scheduler": run.scheduler.state_dict(),
            "scaler": run.scaler.state_dict(),
            "random": _random_states(),
        },
        buffer,
    )
    return buffer.getvalue()


@dataclass(frozen=True)
class Frozen:
    """The decoded content of a resumable checkpoint."""

    iteration: int
    state: dict[str, Any]

    def restore(self, run: Run) -> None:
        """Restore this state into a run just built from the same options."""
        run.iteration = self.iteration
        best = self.state["best"]
        run.best = None if best is None else Best(**best)
        run.model.load_state_dict(self.state["model"])
        run.optimizer.load_state_dict(self.state["optimizer"])
        run.scheduler.load_state_dict(self.state["scheduler"])
        run.scaler.load_state_dict(self.state["scaler"])
        _restore_random_states(self.state["random"])


def thaw(data: bytes) -> Frozen:
    """The checkpoint in these bytes."""
    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    return Frozen(state["iteration"], state)


def _random_states() -> dict[str, Any]:
    _, keys, position, has_gauss, cached_gaussian = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "python": random.getstate(),
        "numpy": (
            torch.from_numpy(np.asarray(keys).astype(np.int64)),
            position,
            has_gauss,
            cached_gaussian,
        ),
    }


def _restore_random_states(states: dict[str, Any]) -> None:
    torch.set_rng_state(states["torch"])
    if torch.cuda.is_available() and states["cuda"]:
        torch.cuda.set_rng_state_all(states["cuda"])
    random.setstate(states["python"])
    keys, *rest = states["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), *rest))
