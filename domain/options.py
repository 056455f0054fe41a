"""The options of a training: their defaults, their ranges, and how a request is resolved."""

from typing import Any

import msgspec

from domain.errors import Invalid

MOMENTUM, RMSPROP, ADAM, NADAM, RADAM = "momentum", "rmsprop", "adam", "nadam", "radam"
OPTIMIZERS = (MOMENTUM, RMSPROP, ADAM, NADAM, RADAM)


class Architecture(msgspec.Struct, frozen=True):
    """A network the worker can build, with the defaults that suit it trained from scratch.

    `image_size` is the side in pixels of its square input.
    """

    key: str
    label: str
    batch_size: int
    image_size: int
    optimizer: str
    learning_rates: dict[str, float]


def _from_scratch(momentum: float, adaptive: float) -> dict[str, float]:
    return {
        MOMENTUM: momentum,
        RMSPROP: adaptive,
        ADAM: adaptive,
        NADAM: adaptive,
        RADAM: adaptive,
    }


def _classifier(key: str, label: str, *, momentum: float, adaptive: float) -> Architecture:
    rates = _from_scratch(momentum, adaptive)
    return Architecture(
        key, label, batch_size=32, image_size=224, optimizer=NADAM, learning_rates=rates
    )


_CLASSIFIERS = (
    _classifier("efficientnet_b0", "EfficientNet B0", momentum=0.032, adaptive=2e-3),
    _classifier("mobilenet_v3_small", "MobileNet v3 small", momentum=0.02, adaptive=2e-3),
    _classifier("resnet18", "ResNet 18", momentum=0.02, adaptive=1e-3),
    _classifier("resnet50", "ResNet 50", momentum=0.02, adaptive=1e-3),
)
ARCHITECTURES = {architecture.key: architecture for architecture in _CLASSIFIERS}
DEFAULT_ARCHITECTURE = "efficientnet_b0"


class TrainingOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Every option of one training, resolved. Sizes are in pixels, rates per iteration."""

    architecture: str
    epochs: float
    batch_size: int
    optimizer: str
    initial_learning_rate: float
    image_size: int
    seed: int


class OptionsRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a user chose; what is left out takes its default."""

    architecture: str | None = None
    epochs: float | None = None
    batch_size: int | None = None
    optimizer: str | None = None
    initial_learning_rate: float | None = None
    image_size: int | None = None
    seed: int | None = None


def resolve_options(request: OptionsRequest) -> TrainingOptions:
    """Fill in what the user left out and check the rest.

    Raises `Invalid` naming the field that is out of range or unknown.
    """
    key = DEFAULT_ARCHITECTURE if request.architecture is None else request.architecture
    architecture = ARCHITECTURES.get(key)
    if architecture is None:
        raise Invalid(
            f"architecture {key!r} is unknown; choose one of {', '.join(ARCHITECTURES)}",
            field="architecture",
        )
    optimizer = architecture.optimizer if request.optimizer is None else request.optimizer
    if optimizer not in OPTIMIZERS:
        raise Invalid(
            f"optimizer {optimizer!r} is unknown; choose one of {', '.join(OPTIMIZERS)}",
            field="optimizer",
        )
    options = TrainingOptions(
        architecture=key,
        optimizer=optimizer,
        epochs=_or(request.epochs, 6.0),
        batch_size=_or(request.batch_size, architecture.batch_size),
        initial_learning_rate=_or(
            request.initial_learning_rate, architecture.learning_rates[optimizer]
        ),
        image_size=_or(request.image_size, architecture.image_size),
        seed=_or(request.seed, 0),
    )
    _within("epochs", options.epochs, 0.1, 200)
    _within("batch_size", options.batch_size, 1, 65536)
    _within("initial_learning_rate", options.initial_learning_rate, 0, 10)
    _within("image_size", options.image_size, 32, 1024)
    _within("seed", options.seed, 0, 2**32 - 1)
    if options.image_size % 16:
        raise Invalid(
            f"image_size is {options.image_size}; it must be a multiple of 16", field="image_size"
        )
    return options


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _within(field: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise Invalid(f"{field} is {value}; it must be from {low} to {high}", field=field)
