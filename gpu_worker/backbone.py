"""A backbone that does not learn during the first epochs, while the head does."""

from collections.abc import Mapping

from torch import nn

from domain.library.view import DETECTION


class FrozenBackbone:
    """The parameters below a model's head, frozen before the iteration `until`.

    `freezes` is whether they are frozen at all.
    """

    def __init__(
        self, model: nn.Module, kind: str, head: Mapping[str, int], until: int, *, freezes: bool
    ) -> None:
        self._model, self.until = model, until
        self._parameters = [
            parameter
            for name, parameter in model.named_parameters()
            if freezes and _in_backbone(kind, head, name)
        ]
        self._frozen: list[nn.Parameter] = []

    def set_mode(self, learner: nn.Module, iteration: int, processes: int) -> None:
        """Train all parameters, or only the head while the backbone is frozen."""
        learner.train()
        learns = iteration >= self.until
        self._frozen = [] if learns else self._parameters
        if processes == 1:
            for parameter in self._parameters:
                parameter.requires_grad_(learns)
        if not learns:
            frozen = set(self._parameters)
            for module in self._model.modules():
                own = list(module.parameters(recurse=False))
                if own and frozen.issuperset(own):
                    module.eval()

    def drop_gradients(self) -> None:
        """Drop the gradients of frozen parameters, which several processes compute too."""
        for parameter in self._frozen:
            parameter.grad = None


def _in_backbone(kind: str, head: Mapping[str, int], name: str) -> bool:
    """Whether a parameter is outside the head: a detector's head is all but the backbone."""
    return name.startswith("backbone.") if kind == DETECTION else name not in head
