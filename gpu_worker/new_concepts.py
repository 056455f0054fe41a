"""The outputs of concepts that the initial weights lack, which train at a rate of their own."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from domain.library.view import DETECTION
from domain.training.messages import InitialWeights
from domain.training.options import TrainingOptions
from gpu_worker.networks import by_class


class NewConcepts:
    """The head's tensors, in which some rows belong to new concepts and others to old ones.

    An optimizer has one rate for a whole tensor. The head is a parameter group at the higher of the
    two rates, and after each step the rows with the lower one are moved back by the difference:
    exact but for rounding, since the update of every optimizer here is proportional to its rate.
    Nothing is kept between steps, so that a resumed training takes the same ones.
    """

    def __init__(
        self,
        model: nn.Module,
        kind: str,
        head: Mapping[str, int],
        options: TrainingOptions,
        initial: InitialWeights | None,
        concepts: Sequence[str],
    ) -> None:
        self._model = model
        self._shares: dict[nn.Parameter, tuple[int, Tensor]] = {}
        base, own = options.initial_learning_rate, options.new_concept_learning_rate
        self._rate = max(base, own or 0.0)
        known = None if initial is None else initial.concepts
        if own is None or own == base or known is None or set(concepts) <= set(known):
            return
        rates = [base] * (kind == DETECTION) + [base if c in known else own for c in concepts]
        for name, parameter in model.named_parameters():
            if name in head:
                share = torch.tensor(rates, device=parameter.device) / self._rate
                self._shares[parameter] = head[name], share.view(1, -1, *[1] * parameter.dim())

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The network at the base rate; and the head, if concepts are new, at its own."""
        others = [one for one in self._model.parameters() if one not in self._shares]
        groups: list[dict[str, Any]] = [{"params": others}]
        if self._shares:
            groups.append({"params": list(self._shares), "lr": self._rate})
        return groups

    @contextmanager
    def stepping(self) -> Iterator[None]:
        """Around a step of the optimizer: each row of the head moves at its own rate."""
        before = {parameter: parameter.detach().clone() for parameter in self._shares}
        yield
        with torch.no_grad():
            for parameter, (numbers, share) in self._shares.items():
                start = by_class(before[parameter], numbers, share.numel())
                end = by_class(parameter, numbers, share.numel())
                # The rows at the higher rate keep every bit of their step.
                own = torch.where(share == 1, end, start + (end - start) * share)
                parameter.copy_(own.flatten(0, 2))
