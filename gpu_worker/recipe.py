"""Optimizer, learning rate schedule and precision, from options."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import SGD, Adam, NAdam, Optimizer, RAdam, RMSprop
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, OneCycleLR

from domain.training.architectures import ADAM, MOMENTUM, NADAM, RADAM, RMSPROP, STEPPED
from domain.training.form import BF16, FP16
from domain.training.options import TrainingOptions
from gpu_worker.networks import UnknownRecipe

_TYPES = {BF16: torch.bfloat16, FP16: torch.float16}


def build_optimizer(options: TrainingOptions, weights: Iterable[Any]) -> Optimizer:
    """The optimizer of these parameters, or groups of them, which may have rates of their own.

    Momentum is SGD with momentum. Weight decay is L2, added to the gradient.

    The Adam family keeps PyTorch's beta2 of 0.999 and epsilon of 1e-8; beta1 is cycled between 0.85
    and 0.95 by the one-cycle policy.
    """
    rate, decay = options.initial_learning_rate, options.weight_decay
    match options.optimizer:
        case name if name == MOMENTUM:
            return SGD(weights, lr=rate, momentum=options.momentum or 0.0, weight_decay=decay)
        case name if name == RMSPROP:
            return RMSprop(
                weights,
                lr=rate,
                alpha=options.rmsprop_decay or 0.0,
                eps=options.epsilon or 0.0,
                momentum=options.momentum or 0.0,
                weight_decay=decay,
            )
        case name if name == ADAM:
            return Adam(weights, lr=rate, weight_decay=decay)
        case name if name == NADAM:
            return NAdam(weights, lr=rate, weight_decay=decay)
        case name if name == RADAM:
            return RAdam(weights, lr=rate, weight_decay=decay)
    raise UnknownRecipe(f"this worker does not know the optimizer {options.optimizer!r}")


def build_scheduler(options: TrainingOptions, optimizer: Optimizer, iterations: int) -> LRScheduler:
    """Stepped once per iteration.

    Momentum and RMSprop: a tenth after 33 % of the iterations, a hundredth after 66 %. The Adam
    family: one cycle (Smith and Topin, 2017) that peaks at each group's learning rate.
    """
    if options.optimizer in STEPPED:
        # Not before the first iteration, however few there are.
        drops = [max(1, round(iterations * share)) for share in (0.33, 0.66)]
        return MultiStepLR(optimizer, milestones=drops, gamma=0.1)
    peaks = [group["lr"] for group in optimizer.param_groups]
    return OneCycleLR(optimizer, max_lr=peaks, total_steps=iterations)


def precision_of(
    options: TrainingOptions, device: torch.device
) -> Callable[[], AbstractContextManager[object]]:
    """The precision context of a forward pass."""
    dtype = _TYPES.get(options.precision)
    if dtype is None:
        return nullcontext
    return lambda: torch.autocast(device.type, dtype)


class _StridedConvolution(nn.Conv2d):
    """Computes inputs of one column in float32.

    For those, torch 2.15 on a CPU leaves weights' gradients in bfloat16 partly unwritten: training
    would depend on what was in memory, and mostly end in NaN. They are the last levels of a
    detector's pyramid, of a few values each.
    """

    def forward(self, features: Tensor) -> Tensor:
        if features.shape[-1] > 1:
            return super().forward(features)
        with torch.autocast(features.device.type, enabled=False):
            return super().forward(features.float())


def compute_narrow_inputs_in_float32(model: nn.Module) -> None:
    """Make every strided convolution do so, in place; see `_StridedConvolution`."""
    for module in model.modules():
        if type(module) is nn.Conv2d and max(module.stride) > 1:
            module.__class__ = _StridedConvolution


def build_scaler(options: TrainingOptions, device: torch.device) -> GradScaler:
    """Scales the loss so that float16 gradients do not vanish; does nothing otherwise."""
    return GradScaler(device.type, enabled=options.precision == FP16)
