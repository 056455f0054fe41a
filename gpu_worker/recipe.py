"""From options to what trains: the network, its optimizer and the course of its learning rate."""

import torch
from torch import nn
from torch.optim import SGD, Adam, NAdam, Optimizer, RAdam, RMSprop
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, OneCycleLR
from torchvision import models

from domain.options import ADAM, MOMENTUM, NADAM, RADAM, RMSPROP, TrainingOptions

_NETWORKS = {
    "efficientnet_b0": models.efficientnet_b0,
    "mobilenet_v3_small": models.mobilenet_v3_small,
    "resnet18": models.resnet18,
    "resnet50": models.resnet50,
}

# PyTorch's default. torchvision's MobileNet v3 has 0.01, meant for some hundred thousand
# iterations: after a few hundred its running averages lag so far that validation is at chance.
_BATCH_NORM_MOMENTUM = 0.1


class UnknownRecipe(Exception):
    """The job asks for a network or an optimizer that this worker cannot build."""


def build_model(options: TrainingOptions, outputs: int) -> nn.Module:
    """The network with one logit per concept, initialised at random from the seed."""
    network = _NETWORKS.get(options.architecture)
    if network is None:
        raise UnknownRecipe(
            f"this worker cannot build the architecture {options.architecture!r};"
            f" it knows {', '.join(_NETWORKS)}"
        )
    torch.manual_seed(options.seed)
    model: nn.Module = network(weights=None, num_classes=outputs)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = _BATCH_NORM_MOMENTUM
    return model


def build_optimizer(options: TrainingOptions, model: nn.Module) -> Optimizer:
    """Momentum is SGD with 0.9. RMSprop decays by 0.9 with eps 1e-3 (the MobileNet papers' way).

    The Adam family keeps PyTorch's defaults (beta2 0.999, eps 1e-8, no weight decay); beta1 is
    cycled between 0.85 and 0.95 by the one-cycle policy.
    """
    weights = model.parameters()
    rate = options.initial_learning_rate
    match options.optimizer:
        case name if name == MOMENTUM:
            return SGD(weights, lr=rate, momentum=0.9)
        case name if name == RMSPROP:
            return RMSprop(weights, lr=rate, alpha=0.9, eps=1e-3)
        case name if name == ADAM:
            return Adam(weights, lr=rate)
        case name if name == NADAM:
            return NAdam(weights, lr=rate)
        case name if name == RADAM:
            return RAdam(weights, lr=rate)
    raise UnknownRecipe(f"this worker does not know the optimizer {options.optimizer!r}")


def build_scheduler(options: TrainingOptions, optimizer: Optimizer, iterations: int) -> LRScheduler:
    """Stepped once per iteration.

    Momentum and RMSprop: a tenth after 33 % of the iterations, a hundredth after 66 %. The Adam
    family: one cycle (Smith and Topin, 2017) that peaks at the initial learning rate.
    """
    if options.optimizer in (MOMENTUM, RMSPROP):
        drops = [round(iterations * 0.33), round(iterations * 0.66)]
        return MultiStepLR(optimizer, milestones=drops, gamma=0.1)
    return OneCycleLR(optimizer, max_lr=options.initial_learning_rate, total_steps=iterations)
