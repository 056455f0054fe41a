"""The training form of each kind of view, with the defaults that suit each choice."""

from collections.abc import Callable, Iterator

from domain.library.view import CLASSIFICATION, DETECTION, TAGGING
from domain.training.architectures import (
    ADAM,
    COCO,
    DEFAULT_ARCHITECTURES,
    FIXED,
    IMAGENET,
    KEEP_ASPECT_RATIO,
    NADAM,
    OPTIMIZERS,
    RADAM,
    RMSPROP,
    STEPPED,
    Architecture,
    Rates,
    architectures_for,
)
from domain.training.augmentations import OPERATIONS, default_augmentations
from domain.training.form_controls import (
    ANY,
    INTEGER,
    LIST,
    NUMBER,
    SELECT,
    TEXT,
    TOGGLE,
    Choice,
    Control,
    Default,
    Form,
    Section,
    When,
)
from domain.training.presets import presets_for

KINDS = (CLASSIFICATION, TAGGING, DETECTION)
NONE = "none"
FP32, BF16, FP16 = "fp32", "bf16", "fp16"
BASIC = ("epochs", "width", "height", "max_dimension")
"""The options that most users choose."""

_SCRATCH = {"pretrained": (NONE, None), "start_from": (None,)}
_ADAPTIVE = (ADAM, NADAM, RADAM)
_DATASETS = {IMAGENET: "ImageNet", COCO: "COCO"}
_RESIZERS = {FIXED: "Fixed shape", KEEP_ASPECT_RATIO: "Keep the aspect ratio, pad with zeros"}
_PRECISIONS = {
    FP32: "32 bits",
    BF16: "bfloat16, mixed",
    FP16: "float16, mixed, with loss scaling",
}


def training_form(kind: str, at_hand: frozenset[str] = frozenset(), *, crops: bool = False) -> Form:
    """The form of a kind of view, of images or of `crops`.

    `at_hand` are the files of pretrained weights there are.
    """
    networks = architectures_for(kind)
    return Form(
        kind,
        (
            Section("network", "Network", tuple(_network(kind, networks, at_hand))),
            Section("length", "Length", tuple(_length(networks))),
            Section("optimizer", "Optimizer", tuple(_optimizer(networks)), advanced=True),
            Section("images", "Images", tuple(_images(kind, networks, crops))),
            Section("running", "Running", tuple(_running()), advanced=True),
            Section("flip_book", "Flip Book", tuple(_flip_book()), advanced=True),
        ),
        presets_for(kind),
        BASIC,
    )


def _choices(labels: dict[str, str]) -> tuple[Choice, ...]:
    return tuple(Choice(value, label) for value, label in labels.items())


def _network(kind: str, networks: list[Architecture], at_hand: frozenset[str]) -> Iterator[Control]:
    yield Control(
        key="architecture",
        type=SELECT,
        label="Architecture",
        help="The network that is trained",
        defaults=(Default(DEFAULT_ARCHITECTURES[kind]),),
        choices=_choices({network.key: network.label for network in networks}),
    )
    yield Control(
        key="start_from",
        type=TEXT,
        label="Start from",
        help="An earlier version of this view, of the same architecture: training continues from"
        " its checkpoint, and common concepts keep their outputs",
        defaults=(Default(None),),
    )
    ready = [network for network in networks if at_hand & set(network.weights.values())]
    yield Control(
        key="pretrained",
        type=SELECT,
        label="Pretrained on",
        help="Weights to start from; their file must be in the server's folder of weights",
        defaults=(
            *(
                Default(data, {"architecture": (network.key,)})
                for network in ready
                for data, file in network.weights.items()
                if file in at_hand
            ),
            Default(NONE),
        ),
        choices=_choices(
            {NONE: "Random weights"}
            | {data: _DATASETS[data] for network in networks for data in network.weights}
        ),
        shown_when={"start_from": (None,)},
    )
    yield Control(
        key="freeze_backbone_epochs",
        type=NUMBER,
        label="Epochs with a frozen backbone",
        help="Epochs in which only the head is trained",
        defaults=(Default(0.0),),
        minimum=0,
        maximum=200,
        step=0.1,
    )


def _length(networks: list[Architecture]) -> Iterator[Control]:
    yield Control(
        key="iterations",
        type=INTEGER,
        label="Iterations",
        help="Batches to train on, instead of epochs",
        defaults=(Default(None),),
        minimum=10,
        maximum=10_000_000,
    )
    yield Control(
        key="epochs",
        type=NUMBER,
        label="Epochs",
        help="How often each training image is seen; fractions are allowed",
        defaults=(Default(6.0),),
        minimum=0.1,
        maximum=200,
        step=0.1,
        shown_when={"iterations": (None,)},
    )
    yield Control(
        key="batch_size",
        type=INTEGER,
        label="Batch size",
        help="Images per batch",
        defaults=_by_architecture(networks, lambda network: network.batch_size),
        minimum=1,
        maximum=65536,
    )
    yield Control(
        key="patience",
        type=INTEGER,
        label="Patience",
        help="Early stopping: end after this many epochs without a better checkpoint; 0 = off",
        defaults=(Default(0),),
        minimum=0,
        maximum=200,
    )


def _optimizer(networks: list[Architecture]) -> Iterator[Control]:
    yield Control(
        key="optimizer",
        type=SELECT,
        label="Optimizer",
        help="Momentum and RMSProp lower the learning rate to a tenth at 33% and to a hundredth"
        " at 66% of the training; the others follow a one-cycle schedule",
        defaults=_by_architecture(networks, lambda network: network.optimizer),
        choices=_choices(OPTIMIZERS),
    )
    yield Control(
        key="initial_learning_rate",
        type=NUMBER,
        label="Initial learning rate",
        help="The peak learning rate",
        defaults=tuple(_rates(networks)),
        minimum=0,
        maximum=10,
        step=0.00001,
    )
    yield Control(
        key="new_concept_learning_rate",
        type=NUMBER,
        label="Learning rate of new concepts",
        help="Learning rate of the outputs for concepts that the version to start from lacks:"
        " they start from random weights and need a higher rate than the trained ones",
        defaults=tuple(
            default
            for network in networks
            for default in _by_optimizer({"architecture": (network.key,)}, network.scratch)
        ),
        minimum=0,
        maximum=10,
        step=0.00001,
        shown_when={"start_from": (ANY,)},
    )
    yield _share("momentum", "Momentum", "Weight of the earlier gradients", 0.9, STEPPED)
    yield _share(
        "rmsprop_decay", "Decay", "Decay of the mean of squared gradients", 0.9, (RMSPROP,)
    )
    yield Control(
        key="epsilon",
        type=NUMBER,
        label="Epsilon",
        help="Added to the root of the mean of squared gradients, so that weights without a"
        " gradient are not divided by zero",
        defaults=(Default(1.0),),
        minimum=1e-8,
        maximum=1,
        shown_when={"optimizer": (RMSPROP,)},
    )
    yield Control(
        key="weight_decay",
        type=NUMBER,
        label="Weight decay",
        help="Added to the gradient, times the weight (L2)",
        defaults=(Default(0.0),),
        minimum=0,
        maximum=1,
        step=0.00001,
    )
    yield Control(
        key="gradient_clip_norm",
        type=NUMBER,
        label="Gradient clipping",
        help="Gradients with a larger norm are scaled to this norm; 0 = off",
        defaults=(Default(0.0),),
        minimum=0,
        maximum=1000,
        step=0.1,
    )


def _share(key: str, label: str, about: str, value: float, optimizers: tuple[str, ...]) -> Control:
    return Control(
        key=key,
        type=NUMBER,
        label=label,
        help=about,
        defaults=(Default(value),),
        minimum=0,
        maximum=1,
        step=0.01,
        shown_when={"optimizer": optimizers},
    )


def _images(kind: str, networks: list[Architecture], crops: bool) -> Iterator[Control]:
    yield Control(
        key="resizer",
        type=SELECT,
        label="Resizer",
        help="How an image is resized to the network's input",
        defaults=_by_architecture(networks, lambda network: network.resizer),
        choices=_choices(_RESIZERS),
    )
    for side in ("width", "height"):
        yield Control(
            key=side,
            type=INTEGER,
            label=side.capitalize(),
            help=f"The {side} that every image is stretched to",
            defaults=_by_architecture(networks, lambda network: min(network.side, 1024)),
            minimum=32,
            maximum=1024,
            step=16,
            unit="px",
            shown_when={"resizer": (FIXED,)},
        )
    yield Control(
        key="max_dimension",
        type=INTEGER,
        label="Longest side",
        help="The longer side of an image is scaled to this length; the image is padded with"
        " zeros, right and below, to a square",
        defaults=(
            *(
                Default(network.side, {"architecture": (network.key,)})
                for network in networks
                if network.resizer == KEEP_ASPECT_RATIO or network.square
            ),
            Default(512),
        ),
        minimum=64,
        maximum=8192,
        step=16,
        unit="px",
        shown_when={"resizer": (KEEP_ASPECT_RATIO,)},
    )
    if crops:
        yield Control(
            key="margin_crop",
            type=NUMBER,
            label="Margin around the crop",
            help="Share of the crop's shorter side that is added on each side, within the image",
            defaults=(Default(0.0),),
            minimum=0,
            maximum=1,
            step=0.01,
        )
    yield Control(
        key="balancing",
        type=TOGGLE,
        label="Balancing",
        help="Show images of rare concepts more often",
        defaults=(Default(False),),
    )
    yield Control(
        key="max_expansion_ratio",
        type=NUMBER,
        label="Maximum expansion",
        help="Maximum oversampling: an epoch becomes at most this many times as long",
        defaults=(Default(2.0),),
        minimum=1.1,
        maximum=10,
        step=0.1,
        shown_when={"balancing": (True,)},
    )
    yield Control(
        key="reviewed_only",
        type=TOGGLE,
        label="Reviewed only",
        help="Train on images whose annotations in this view are reviewed; the validation set"
        " keeps all its annotated images, so that metrics stay comparable",
        defaults=(Default(False),),
    )
    yield Control(
        key="augmentations",
        type=LIST,
        label="Augmentations",
        help="Applied in this order, at random, each time that an image is drawn",
        defaults=(Default(default_augmentations(kind)),),
        choices=_choices({op: operation.label for op, operation in OPERATIONS.items()}),
        items={op: operation.parameters for op, operation in OPERATIONS.items()},
    )


def _running() -> Iterator[Control]:
    yield Control(
        key="seed",
        type=INTEGER,
        label="Seed",
        help="The same seed gives the same weights on a CPU",
        defaults=(Default(0),),
        minimum=0,
        maximum=2**32 - 1,
    )
    yield Control(
        key="precision",
        type=SELECT,
        label="Precision",
        help="Numeric precision",
        defaults=(Default(FP32),),
        choices=_choices(_PRECISIONS),
    )


def _flip_book() -> Iterator[Control]:
    yield Control(
        key="recorded_images",
        type=INTEGER,
        label="Recorded images",
        help="The number of images measured after each epoch for the flip book: a sample if there"
        " are more; 0 = off",
        defaults=(Default(5000),),
        minimum=0,
        maximum=50_000,
    )
    yield Control(
        key="record_training_images",
        type=TOGGLE,
        label="Record training images",
        help="Training images are measured in additional passes; validation images are always"
        " measured",
        defaults=(Default(True),),
    )


def _by_architecture(
    networks: list[Architecture], of: Callable[[Architecture], object]
) -> tuple[Default, ...]:
    """One default for each value, for the architectures that have it."""
    groups: dict[object, list[str]] = {}
    for network in networks:
        groups.setdefault(of(network), []).append(network.key)
    return tuple(Default(value, {"architecture": tuple(keys)}) for value, keys in groups.items())


def _rates(networks: list[Architecture]) -> Iterator[Default]:
    """From scratch other rates learn than from weights that know something already."""
    for network in networks:
        for when, rates in ((_SCRATCH, network.scratch), ({}, network.pretrained)):
            place: When = {"architecture": (network.key,), **when}
            yield from _by_optimizer(place, rates)


def _by_optimizer(when: When, rates: Rates) -> Iterator[Default]:
    yield Default(rates.stepped, {**when, "optimizer": STEPPED})
    yield Default(rates.adaptive, {**when, "optimizer": _ADAPTIVE})
