"""The search space of an experiment: which options its trials vary, and over which values."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from domain.errors import Invalid
from domain.library.view import DETECTION
from domain.training.architectures import ARCHITECTURES, OPTIMIZERS, architectures_for
from domain.training.augmentations import AUTO, OPERATIONS, default_augmentations
from domain.training.options import TrainingOptions, resolve_options

ARCHITECTURE, RATE_MULTIPLIER, OPTIMIZER = "architecture", "rate_multiplier", "optimizer"
WEIGHT_DECAY, BALANCING, IMAGE_SIZE = "weight_decay", "balancing", "image_size"
CROPS, MARGIN = "crops", "margin_crop"
"""Of the base: whether items are crops, and the option that only crops have."""
AUGMENTATION = "augmentation."
"""Before an operation's name: whether the trial has it."""

LARGEST_MULTIPLIER = 100.0
LARGEST_RATE = 10.0
MOST_VALUES = 50

Value = str | bool | int | float
Parameters = dict[str, Value]
"""What a trial varies, by the names above."""
Base = Mapping[str, str | bool | int | float]
"""Options of the training form that all trials share; the rest has the form's defaults."""


class SearchSpace(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the trials vary. An empty list is not varied: the trials have the form's default.

    `rate_multiplier` is a range, searched by its logarithm, by which the form's default learning
    rate of the trial's architecture and optimizer is multiplied. `image_sizes` are sides in pixels
    of square images. Each of `augmentations` is in a trial or is not, with its default parameters.
    """

    architectures: tuple[str, ...]
    rate_multiplier: tuple[float, ...] = (0.1, 10.0)
    optimizers: tuple[str, ...] = ()
    weight_decays: tuple[float, ...] = ()
    augmentations: tuple[str, ...] = ()
    balancing: tuple[bool, ...] = ()
    image_sizes: tuple[int, ...] = ()


class Choices(msgspec.Struct, frozen=True):
    values: tuple[Value, ...]


class LogRange(msgspec.Struct, frozen=True):
    low: float
    high: float


class Interval(msgspec.Struct, frozen=True):
    """Numbers from `low` to `high`, integers if `whole`, searched by their logarithm if `log`."""

    low: float
    high: float
    log: bool
    whole: bool


Dimension = Choices | LogRange | Interval

NOT_SEARCHED = SearchSpace(architectures=(), rate_multiplier=(1.0, 1.0))
"""The space of an experiment that varies no options of the built-in training."""

_SMALL = ("efficientnet_b0", "resnet18", "mobilenet_v3_small")
_SMALL_DETECTORS = ("fcos_resnet18_fpn", "ssdlite320_mobilenet_v3_large")


def default_space(kind: str, at_hand: frozenset[str] = frozenset()) -> SearchSpace:
    """The space of one click: architectures with weights at hand, else small ones that learn from
    scratch."""
    ready = tuple(
        network.key
        for network in architectures_for(kind)
        if at_hand.intersection(network.weights.values())
    )
    detection = kind == DETECTION
    return SearchSpace(
        architectures=ready or (_SMALL_DETECTORS if detection else _SMALL),
        optimizers=("momentum", "nadam"),
        weight_decays=(0.0, 1e-4, 1e-3),
        augmentations=(
            ("horizontal_flip", "brightness", "contrast", "random_crop")
            if detection
            else ("horizontal_flip", "brightness", "contrast")
        ),
        balancing=(False, True),
    )


def dimensions(space: SearchSpace) -> dict[str, Dimension]:
    """What is searched, by the names of parameters, in a fixed order; one value is no dimension."""
    low, high = space.rate_multiplier
    found: dict[str, Dimension] = {ARCHITECTURE: Choices(space.architectures)}
    if low < high:
        found[RATE_MULTIPLIER] = LogRange(low, high)
    found[OPTIMIZER] = Choices(space.optimizers)
    found[WEIGHT_DECAY] = Choices(space.weight_decays)
    found[BALANCING] = Choices(space.balancing)
    found[IMAGE_SIZE] = Choices(space.image_sizes)
    for op in space.augmentations:
        found[AUGMENTATION + op] = Choices((False, True))
    return {
        key: dimension
        for key, dimension in found.items()
        if not isinstance(dimension, Choices) or len(dimension.values) > 1
    }


def fixed(space: SearchSpace) -> Parameters:
    """The parameters that have one value only."""
    low, high = space.rate_multiplier
    found: Parameters = {RATE_MULTIPLIER: low} if low == high != 1 else {}
    for key, values in (
        (ARCHITECTURE, space.architectures),
        (OPTIMIZER, space.optimizers),
        (WEIGHT_DECAY, space.weight_decays),
        (BALANCING, space.balancing),
        (IMAGE_SIZE, space.image_sizes),
    ):
        if len(values) == 1:
            found[key] = values[0]
    return found


def default_trials(
    kind: str, space: SearchSpace, base: Base, at_hand: frozenset[str]
) -> list[Parameters]:
    """The form's defaults of each architecture, as far as they are in the space."""
    return [
        _default_trial(kind, space, base, architecture, at_hand)
        for architecture in space.architectures
    ]


def _default_trial(
    kind: str, space: SearchSpace, base: Base, architecture: str, at_hand: frozenset[str]
) -> Parameters:
    default = _resolve(kind, {**base, ARCHITECTURE: architecture}, at_hand)
    ops = {entry.op for entry in default.augmentations}
    wanted: dict[str, object] = {
        ARCHITECTURE: architecture,
        RATE_MULTIPLIER: 1.0,
        OPTIMIZER: default.optimizer,
        WEIGHT_DECAY: default.weight_decay,
        BALANCING: default.balancing,
        IMAGE_SIZE: default.width if default.width == default.height else None,
        **{AUGMENTATION + op: op in ops for op in space.augmentations},
    }
    chosen = fixed(space) | {ARCHITECTURE: architecture}
    for key, dimension in dimensions(space).items():
        value = wanted[key]
        match dimension:
            case LogRange(low, high):
                chosen[key] = min(max(1.0, low), high)
            case Choices(values):
                chosen[key] = next((each for each in values if each == value), values[0])
    return chosen


def options_of(
    kind: str, base: Base, parameters: Parameters, at_hand: frozenset[str]
) -> TrainingOptions:
    """The resolved options of a trial, which records no items unless the base has that option.

    Raises `Invalid` naming the option that is wrong.
    """
    given: dict[str, Any] = {"recorded_images": 0} | dict(base)
    for key in (ARCHITECTURE, OPTIMIZER, WEIGHT_DECAY, BALANCING):
        if key in parameters:
            given[key] = parameters[key]
    if IMAGE_SIZE in parameters:
        given |= {"resizer": "fixed", "width": parameters[IMAGE_SIZE]}
        given["height"] = parameters[IMAGE_SIZE]
    searched = {
        key.removeprefix(AUGMENTATION): bool(value)
        for key, value in parameters.items()
        if key.startswith(AUGMENTATION)
    }
    if searched:
        kept = [str(entry["op"]) for entry in default_augmentations(kind)]
        given["augmentations"] = [op for op in OPERATIONS if searched.get(op, op in kept)]
    options = _resolve(kind, given, at_hand)
    multiplier = float(parameters.get(RATE_MULTIPLIER, 1.0))
    if multiplier == 1.0:
        return options
    rate = min(options.initial_learning_rate * multiplier, LARGEST_RATE)
    return _resolve(kind, given | {"initial_learning_rate": rate}, at_hand)


def _resolve(kind: str, given: Mapping[str, Any], at_hand: frozenset[str]) -> TrainingOptions:
    chosen = dict(given)
    crops = bool(chosen.pop(CROPS, False))
    # Experiments of earlier releases could cut a margin off images.
    cut = 0.0 if crops else float(chosen.pop(MARGIN, 0.0))
    options = resolve_options(kind, chosen, at_hand, crops=crops)
    return msgspec.structs.replace(options, margin_crop=cut) if cut else options


def check_space(kind: str, space: SearchSpace, base: Base, at_hand: frozenset[str]) -> None:
    """Raises `Invalid` naming what no trial could be made of, such as `space.architectures`."""
    allowed = {network.key: network for network in architectures_for(kind)}
    if not space.architectures:
        raise _refused(
            "architectures", f"must not be empty; choose one or more of {', '.join(allowed)}"
        )
    for field in msgspec.structs.fields(space):
        values = getattr(space, field.name)
        if len(values) > MOST_VALUES:
            raise _refused(field.name, f"has {len(values)} values; at most {MOST_VALUES} fit")
        if field.name != "rate_multiplier" and len(set(values)) < len(values):
            raise _refused(field.name, "has a value more than once")
    for name, values, known in (
        ("architectures", space.architectures, list(allowed)),
        ("optimizers", space.optimizers, list(OPTIMIZERS)),
        ("augmentations", space.augmentations, [op for op in OPERATIONS if op != AUTO]),
    ):
        for value in values:
            if value not in known:
                raise _refused(name, f"has {value!r}; choose from {', '.join(known)}")
    if len(space.rate_multiplier) != 2:
        raise _refused("rate_multiplier", "must be a range: a lower and an upper limit")
    low, high = space.rate_multiplier
    if not 1 / LARGEST_MULTIPLIER <= low <= high <= LARGEST_MULTIPLIER:
        raise _refused(
            "rate_multiplier",
            f"is {low:g} to {high:g}; it must be within {1 / LARGEST_MULTIPLIER:g} to"
            f" {LARGEST_MULTIPLIER:g}, the lower end first",
        )
    for architecture in space.architectures:
        _check_weights(architecture, base, at_hand)
        _check_values(kind, space, base, architecture, at_hand)


def _check_weights(architecture: str, base: Base, at_hand: frozenset[str]) -> None:
    pretrained = base.get("pretrained")
    weights = ARCHITECTURES[architecture].weights
    if pretrained in (None, "none"):
        return
    if pretrained not in weights or weights[str(pretrained)] not in at_hand:
        label = ARCHITECTURES[architecture].label
        raise _refused(
            "architectures",
            f"has {label}, but no weights {pretrained!r} are available for it; leave it out, run"
            f" `stemma weights fetch {architecture}` on the server, or train from scratch",
        )


def _check_values(
    kind: str, space: SearchSpace, base: Base, architecture: str, at_hand: frozenset[str]
) -> None:
    """Each value by itself beside the architecture's defaults: options depend on nothing else."""
    start = _default_trial(kind, space, base, architecture, at_hand)
    for key, values in _values(space):
        for value in values:
            parameters = start | {key: value}
            try:
                options_of(kind, base, parameters, at_hand)
            except Invalid as refused:
                # It may be another one's value that is wrong, which stands beside this one.
                wrong, name = _PARAMETER_OF.get(refused.field or "", ("", ""))
                if wrong not in parameters or not getattr(space, name):
                    raise
                raise _refused(name, f"has {parameters[wrong]}: {refused.detail}") from refused


_PARAMETER_OF = {
    "optimizer": (OPTIMIZER, "optimizers"),
    "weight_decay": (WEIGHT_DECAY, "weight_decays"),
    "width": (IMAGE_SIZE, "image_sizes"),
    "height": (IMAGE_SIZE, "image_sizes"),
}
"""The parameter and the field of the space that an option comes from."""


def _values(space: SearchSpace) -> Iterator[tuple[str, tuple[Value, ...]]]:
    yield OPTIMIZER, space.optimizers
    yield WEIGHT_DECAY, space.weight_decays
    yield IMAGE_SIZE, space.image_sizes


def _refused(name: str, detail: str) -> Invalid:
    return Invalid(f"space.{name} {detail}", field=f"space.{name}")
