import msgspec
import pytest

from domain.errors import Invalid
from domain.experiments.space import (
    Parameters,
    SearchSpace,
    check_space,
    default_space,
    default_trials,
    dimensions,
    options_of,
)
from domain.library.view import CLASSIFICATION, DETECTION, TAGGING
from domain.training.architectures import ARCHITECTURES
from domain.training.options import resolve_options

NONE: frozenset[str] = frozenset()
KINDS = (CLASSIFICATION, TAGGING, DETECTION)


@pytest.mark.parametrize("kind", KINDS)
def test_the_space_of_one_click_is_a_valid_one(kind: str) -> None:
    space = default_space(kind)
    check_space(kind, space, {}, NONE)
    assert "rate_multiplier" in dimensions(space)


def test_with_weights_at_hand_their_architectures_are_searched() -> None:
    file = ARCHITECTURES["resnet50"].weights["imagenet"]
    assert default_space(CLASSIFICATION, frozenset({file})).architectures == ("resnet50",)


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_trials_are_the_forms_defaults(kind: str) -> None:
    space, base = default_space(kind), {"epochs": 9.0}
    for architecture, parameters in zip(
        space.architectures, default_trials(kind, space, base, NONE), strict=True
    ):
        plain = resolve_options(kind, base | {"architecture": architecture, "recorded_images": 0})
        assert options_of(kind, base, parameters, NONE) == plain


def test_a_default_that_is_not_in_the_space_gives_way() -> None:
    space = SearchSpace(
        architectures=("resnet18",),
        rate_multiplier=(2.0, 4.0),
        optimizers=("adam", "momentum"),
        weight_decays=(0.01, 0.1),
        image_sizes=(64,),
    )
    (parameters,) = default_trials(CLASSIFICATION, space, {}, NONE)
    assert parameters == {
        "architecture": "resnet18",
        "rate_multiplier": 2.0,
        "optimizer": "adam",
        "weight_decay": 0.01,
        "image_size": 64,
    }


def test_the_rate_is_a_multiple_of_what_suits_the_optimizer() -> None:
    for optimizer in ("momentum", "nadam"):
        parameters: Parameters = {"architecture": "resnet18", "optimizer": optimizer}
        plain = options_of(CLASSIFICATION, {}, parameters, NONE)
        thrice = options_of(CLASSIFICATION, {}, parameters | {"rate_multiplier": 3.0}, NONE)
        assert thrice.initial_learning_rate == pytest.approx(3 * plain.initial_learning_rate)
        rest = {"initial_learning_rate": 0.0}
        assert msgspec.structs.replace(thrice, **rest) == msgspec.structs.replace(plain, **rest)


def test_augmentations_that_are_not_searched_stay() -> None:
    parameters: Parameters = {"architecture": "fcos_resnet18_fpn", "augmentation.brightness": True}
    options = options_of(DETECTION, {}, parameters, NONE)
    assert [each.op for each in options.augmentations] == ["horizontal_flip", "brightness"]
    without = options_of(DETECTION, {}, parameters | {"augmentation.horizontal_flip": False}, NONE)
    assert [each.op for each in without.augmentations] == ["brightness"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"architectures": ()}, "architectures"),
        ({"architectures": ("resnet19",)}, "architectures"),
        ({"architectures": ("fcos_resnet18_fpn",)}, "architectures"),
        ({"architectures": ("resnet18", "resnet18")}, "architectures"),
        ({"rate_multiplier": (0.0, 1.0)}, "rate_multiplier"),
        ({"rate_multiplier": (1.0,)}, "rate_multiplier"),
        ({"rate_multiplier": (1.0, 2.0, 3.0)}, "rate_multiplier"),
        ({"rate_multiplier": ()}, "rate_multiplier"),
        ({"rate_multiplier": (2.0, 1.0)}, "rate_multiplier"),
        ({"rate_multiplier": (1.0, 1e9)}, "rate_multiplier"),
        ({"rate_multiplier": (float("nan"), 1.0)}, "rate_multiplier"),
        ({"optimizers": ("sgd",)}, "optimizers"),
        ({"weight_decays": (-1.0,)}, "weight_decays"),
        ({"weight_decays": (float("nan"),)}, "weight_decays"),
        ({"augmentations": ("auto_augment",)}, "augmentations"),
        ({"augmentations": ("swirl",)}, "augmentations"),
        ({"image_sizes": (33,)}, "image_sizes"),
        ({"image_sizes": (16,)}, "image_sizes"),
        ({"optimizers": ("momentum",), "image_sizes": (33, 17)}, "image_sizes"),
        ({"weight_decays": (-1.0,), "image_sizes": (64,)}, "weight_decays"),
        ({"image_sizes": tuple(range(32, 1000, 16))}, "image_sizes"),
    ],
)
def test_a_space_that_no_trial_can_be_made_of_is_refused(
    change: dict[str, object], field: str
) -> None:
    space = SearchSpace(**({"architectures": ("resnet18",)} | change))  # type: ignore[arg-type]
    with pytest.raises(Invalid, match=rf"^space\.{field} ") as refused:
        check_space(CLASSIFICATION, space, {}, NONE)
    assert refused.value.field == f"space.{field}"


def test_weights_that_are_missing_are_refused_before_any_trial() -> None:
    space = SearchSpace(architectures=("resnet18",))
    with pytest.raises(Invalid, match="weights fetch resnet18") as refused:
        check_space(CLASSIFICATION, space, {"pretrained": "imagenet"}, NONE)
    assert refused.value.field == "space.architectures"


def test_an_option_that_all_share_is_checked_by_its_own_name() -> None:
    with pytest.raises(Invalid) as refused:
        check_space(CLASSIFICATION, SearchSpace(architectures=("resnet18",)), {"epochs": 0}, NONE)
    assert refused.value.field == "epochs"
