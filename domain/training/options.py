"""The options of one training, as a version keeps them."""

from collections.abc import Mapping
from typing import Any

import msgspec

from domain.errors import Invalid
from domain.training.architectures import ARCHITECTURES, KEEP_ASPECT_RATIO
from domain.training.augmentations import AUTO
from domain.training.form import NONE, training_form
from domain.training.form_controls import resolve


class Augmentation(msgspec.Struct, frozen=True):
    """One operation of the list, with all its parameters."""

    op: str
    parameters: dict[str, float]


class TrainingOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Every option of one training, resolved; None where it does not apply.

    Sizes are in pixels, learning rates per iteration. Either `epochs` or `iterations` is there.
    `margin_crop` is the margin added around `crops`, a share of their shorter side. Of images it is
    0, except in versions of earlier releases: they cut off this share of the shorter side, half of
    it at each end of both sides.
    """

    architecture: str
    start_from: str | None = None
    pretrained: str | None = None
    freeze_backbone_epochs: float = 0.0
    epochs: float | None = None
    iterations: int | None = None
    batch_size: int
    patience: int = 0
    optimizer: str
    initial_learning_rate: float
    new_concept_learning_rate: float | None = None
    momentum: float | None = None
    rmsprop_decay: float | None = None
    epsilon: float | None = None
    weight_decay: float = 0.0
    gradient_clip_norm: float = 0.0
    resizer: str
    width: int | None = None
    height: int | None = None
    max_dimension: int | None = None
    margin_crop: float = 0.0
    crops: bool = False
    balancing: bool = False
    reviewed_only: bool = False
    max_expansion_ratio: float | None = None
    augmentations: tuple[Augmentation, ...] = ()
    seed: int = 0
    precision: str = "fp32"
    recorded_images: int = 0
    record_training_images: bool = True

    @property
    def input_size(self) -> tuple[int, int]:
        """Width and height of what the network is given."""
        if self.resizer == KEEP_ASPECT_RATIO:
            assert self.max_dimension is not None
            return self.max_dimension, self.max_dimension
        assert self.width is not None
        assert self.height is not None
        return self.width, self.height


def not_built_in(trainer: str) -> TrainingOptions:
    """What stands for the options of a version that a trainer of a user's trained: none apply."""
    return TrainingOptions(
        architecture=trainer, batch_size=0, optimizer="", initial_learning_rate=0.0, resizer=""
    )


def resolve_options(
    kind: str,
    given: Mapping[str, Any],
    at_hand: frozenset[str] = frozenset(),
    *,
    crops: bool = False,
) -> TrainingOptions:
    """What a user chose, with a default for all that was left out.

    The user's value comes first, then that which suits the optimizer, then the architecture's. What
    does not apply is dropped. `at_hand` are the files of pretrained weights there are; `crops` says
    that the view's items are crops. Raises `Invalid` naming the field that is unknown, of the wrong
    type or out of range.
    """
    chosen = resolve(training_form(kind, at_hand, crops=crops).controls(), given)
    if chosen["pretrained"] == NONE:
        chosen["pretrained"] = None
    chosen["augmentations"] = tuple(
        Augmentation(entry.pop("op"), entry) for entry in map(dict, chosen["augmentations"])
    )
    values = {key: value for key, value in chosen.items() if value is not None}
    options = TrainingOptions(**values, crops=crops)
    _check_together(options)
    return options


def _check_together(options: TrainingOptions) -> None:
    """Check rules that involve several controls."""
    architecture = ARCHITECTURES[options.architecture]
    width, height = options.input_size
    named = "max_dimension" if options.resizer == KEEP_ASPECT_RATIO else "width"
    for field, side in ((named, width), (named.replace("width", "height"), height)):
        if side < architecture.smallest:
            raise Invalid(
                f"{field} is {side}; {architecture.label} takes {architecture.smallest} or more",
                field=field,
            )
    if architecture.square and width != height:
        raise Invalid(
            f"height is {height} and width {width}; {architecture.label} takes only square images",
            field="height",
        )
    if options.pretrained is not None and options.pretrained not in architecture.weights:
        having = ", ".join(architecture.weights) or "none"
        raise Invalid(
            f"{architecture.label} has no weights {options.pretrained!r}; it has: {having}",
            field="pretrained",
        )
    ops = [augmentation.op for augmentation in options.augmentations]
    if AUTO in ops and len(ops) > 1:
        raise Invalid(
            "auto_augment cannot be combined with other augmentations; remove it or the others",
            field="augmentations",
        )
    for number, augmentation in enumerate(options.augmentations):
        low, high = augmentation.parameters.get("min_area"), augmentation.parameters.get("max_area")
        if low is not None and high is not None and low > high:
            raise Invalid(
                f"min_area {low} is more than max_area {high}",
                field=f"augmentations[{number}].min_area",
            )
