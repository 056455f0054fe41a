"""The training form: what is left out, what is dropped, and what is refused by name."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.training.architectures import ARCHITECTURES, OPTIMIZERS, STEPPED, architectures_for
from domain.training.augmentations import OPERATIONS
from domain.training.form import KINDS, training_form
from domain.training.form_controls import INTEGER, LIST, NUMBER, SELECT, TOGGLE, Control
from domain.training.options import Augmentation, TrainingOptions, resolve_options


def test_what_is_left_out_takes_the_architectures_defaults() -> None:
    assert resolve_options("classification", {}) == TrainingOptions(
        architecture="efficientnet_b0",
        epochs=6.0,
        batch_size=32,
        optimizer="nadam",
        initial_learning_rate=2e-3,
        resizer="fixed",
        width=224,
        height=224,
        seed=0,
        recorded_images=5000,
    )


def test_each_kind_has_defaults_of_its_own() -> None:
    assert resolve_options("tagging", {}).optimizer == "nadam"
    detection = resolve_options("detection", {})
    assert detection.optimizer == "momentum"
    assert detection.augmentations == (Augmentation("horizontal_flip", {}),)
    assert resolve_options("classification", {"architecture": "vgg16"}).optimizer == "momentum"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_default_learning_rate_suits_architecture_optimizer_and_start(
    architecture: str, optimizer: str
) -> None:
    network = ARCHITECTURES[architecture]
    chosen = {"architecture": architecture, "optimizer": optimizer}
    for extra, rates in (({}, network.scratch), ({"start_from": "version"}, network.pretrained)):
        options = resolve_options(network.kinds[0], chosen | extra)
        expected = rates.stepped if optimizer in STEPPED else rates.adaptive
        assert options.initial_learning_rate == expected
        scratch = network.scratch.stepped if optimizer in STEPPED else network.scratch.adaptive
        assert options.new_concept_learning_rate == (scratch if extra else None)


def test_weights_at_hand_are_the_default() -> None:
    (file,) = ARCHITECTURES["resnet18"].weights.values()
    at_hand = frozenset({file})
    chosen = {"architecture": "resnet18"}
    options = resolve_options("classification", chosen, at_hand)
    assert (options.pretrained, options.initial_learning_rate) == ("imagenet", 9e-6)
    assert resolve_options("classification", chosen).pretrained is None
    refused = chosen | {"pretrained": "none"}
    assert resolve_options("classification", refused, at_hand).pretrained is None


def test_what_is_chosen_stands() -> None:
    chosen: dict[str, Any] = {
        "architecture": "resnet50",
        "epochs": 0.5,
        "batch_size": 7,
        "optimizer": "rmsprop",
        "initial_learning_rate": 0.0,
        "momentum": 0.5,
        "rmsprop_decay": 0.25,
        "epsilon": 0.125,
        "weight_decay": 0.01,
        "gradient_clip_norm": 1.5,
        "width": 48,
        "height": 64,
        "margin_crop": 0.25,
        "balancing": True,
        "max_expansion_ratio": 3.0,
        "patience": 2,
        "freeze_backbone_epochs": 1.5,
        "precision": "bf16",
        "seed": 0,
    }
    augmented = {"augmentations": ["vertical_flip", {"op": "brightness", "max_delta": 0.5}]}
    listed = (Augmentation("vertical_flip", {}), Augmentation("brightness", {"max_delta": 0.5}))
    expected = TrainingOptions(
        **chosen, resizer="fixed", augmentations=listed, recorded_images=5000, crops=True
    )
    assert resolve_options("classification", chosen | augmented, crops=True) == expected


def test_only_crops_have_a_margin() -> None:
    with pytest.raises(Invalid) as refused:
        resolve_options("classification", {"margin_crop": 0.1})
    assert refused.value.field == "margin_crop"
    assert not resolve_options("classification", {}).crops
    with pytest.raises(Invalid):
        resolve_options("tagging", {"margin_crop": 1.1}, crops=True)


def test_what_does_not_apply_is_dropped() -> None:
    chosen = {"optimizer": "adam", "momentum": 0.5, "max_dimension": 640, "max_expansion_ratio": 5}
    options = resolve_options("classification", chosen | {"iterations": 10, "epochs": 3})
    assert (options.momentum, options.max_dimension, options.max_expansion_ratio) == (None,) * 3
    assert (options.iterations, options.epochs) == (10, None)
    kept = resolve_options("detection", {"resizer": "keep_aspect_ratio", "width": 320})
    assert (kept.width, kept.input_size) == (None, (512, 512))


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("architecture", ["vgg", "", 3]),
        ("optimizer", ["sgd", ""]),
        ("epochs", [0, 0.09, 200.1, -1, float("nan"), float("inf"), "many", True]),
        ("iterations", [9, 10_000_001, 10.5]),
        ("batch_size", [0, -1, 65537, 1.5]),
        ("initial_learning_rate", [-1e-9, 10.1, float("nan")]),
        ("width", [16, 40, 1040, 0]),
        ("seed", [-1, 2**32]),
        ("balancing", ["yes", 1]),
        ("precision", ["fp64"]),
        ("pretrained", ["coco"]),
        ("colour", ["red"]),
        ("augmentations", ["horizontal_flip", {}]),
    ],
)
def test_a_wrong_value_names_its_field(field: str, values: list[object]) -> None:
    for value in values:
        with pytest.raises(Invalid) as refused:
            resolve_options("classification", {field: value})
        assert refused.value.field == field


@pytest.mark.parametrize(
    ("listed", "field"),
    [
        (["blur"], "augmentations[0]"),
        ([{"max_delta": 1}], "augmentations[0]"),
        (["vertical_flip", "vertical_flip"], "augmentations[1]"),
        (["vertical_flip", {"op": "brightness", "max_delta": 2}], "augmentations[1].max_delta"),
        ([{"op": "brightness", "delta": 0.1}], "augmentations[0].delta"),
        ([{"op": "random_crop", "min_area": 0.9, "max_area": 0.8}], "augmentations[0].min_area"),
        (["auto_augment", "vertical_flip"], "augmentations"),
    ],
)
def test_a_wrong_augmentation_is_named(listed: list[object], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        resolve_options("tagging", {"augmentations": listed})
    assert refused.value.field == field


def test_a_network_says_which_sizes_it_takes() -> None:
    for chosen, field in (
        ({"architecture": "inception_v3", "height": 64}, "height"),
        ({"architecture": "vit_b_16", "height": 192}, "height"),
    ):
        with pytest.raises(Invalid) as refused:
            resolve_options("classification", chosen)
        assert refused.value.field == field


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("epochs", [0.1, 200]),
        ("batch_size", [1, 65536]),
        ("initial_learning_rate", [0, 10]),
        ("width", [32, 1024]),
        ("seed", [0, 2**32 - 1]),
    ],
)
def test_the_ends_of_a_range_belong_to_it(field: str, values: list[object]) -> None:
    for value in values:
        options = resolve_options("classification", {field: value})
        assert getattr(options, field) == value


@pytest.mark.parametrize("kind", KINDS)
def test_every_architecture_has_a_form_without_gaps(kind: str) -> None:
    for network in architectures_for(kind):
        for optimizer in OPTIMIZERS:
            chosen = {"architecture": network.key, "optimizer": optimizer}
            options = resolve_options(kind, chosen)
            assert options.input_size[0] >= network.smallest


def values_of(control: Control) -> st.SearchStrategy[Any]:
    """Values that the control says it takes."""
    low = control.minimum
    high = 1000.0 if control.maximum is None else control.maximum
    match control.type:
        case kind if kind == SELECT:
            return st.sampled_from([choice.value for choice in control.choices])
        case kind if kind == TOGGLE:
            return st.booleans()
        case kind if kind == NUMBER:
            return st.floats(low, high)
        case kind if kind == INTEGER:
            step = int(control.step or 1)
            return st.integers(-(-int(low or 0) // step), int(high) // step).map(lambda n: n * step)
        case kind if kind == LIST:
            one = st.sampled_from(list(OPERATIONS)).flatmap(entries)
            return st.lists(one, unique_by=lambda entry: str(entry["op"]))
    return st.none()


def entries(op: str) -> st.SearchStrategy[dict[str, Any]]:
    parameters = {control.key: values_of(control) for control in OPERATIONS[op].parameters}
    return st.fixed_dictionaries({"op": st.just(op)}, optional=parameters)


def forms(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    controls = training_form(kind).controls()
    return st.fixed_dictionaries({}, optional={one.key: values_of(one) for one in controls})


@given(st.sampled_from(KINDS).flatmap(lambda kind: st.tuples(st.just(kind), forms(kind))))
def test_a_form_filled_in_is_resolved_or_refused_by_name(filled: tuple[str, Any]) -> None:
    kind, values = filled
    refusal: Invalid | None = None
    try:
        options = resolve_options(kind, values)
    except Invalid as refused:
        refusal = refused
    if refusal is not None:
        named = (refusal.field or "").partition("[")[0]
        assert named in {control.key for control in training_form(kind).controls()}
        return
    for key, value in values.items():
        kept = getattr(options, key)
        assert kept is None or key in ("augmentations", "pretrained") or kept == value
    again = {key: getattr(options, key) for key in values if key != "augmentations"}
    assert resolve_options(kind, again | {"augmentations": values.get("augmentations")})
