import pytest

from domain.errors import Invalid
from domain.options import (
    ARCHITECTURES,
    OPTIMIZERS,
    OptionsRequest,
    TrainingOptions,
    resolve_options,
)


def test_what_is_left_out_takes_the_architectures_defaults() -> None:
    assert resolve_options(OptionsRequest()) == TrainingOptions(
        architecture="efficientnet_b0",
        epochs=6.0,
        batch_size=32,
        optimizer="nadam",
        initial_learning_rate=2e-3,
        image_size=224,
        seed=0,
    )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_default_learning_rate_suits_architecture_and_optimizer(
    architecture: str, optimizer: str
) -> None:
    request = OptionsRequest(architecture=architecture, optimizer=optimizer)
    options = resolve_options(request)
    expected = ARCHITECTURES[architecture].learning_rates[optimizer]
    assert options.initial_learning_rate == expected


def test_what_is_chosen_stands() -> None:
    chosen = {
        "architecture": "resnet50",
        "epochs": 0.5,
        "batch_size": 7,
        "optimizer": "momentum",
        "initial_learning_rate": 0.0,
        "image_size": 48,
        "seed": 0,
    }
    assert resolve_options(OptionsRequest(**chosen)) == TrainingOptions(**chosen)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("architecture", ["vgg", ""]),
        ("optimizer", ["sgd", ""]),
        ("epochs", [0, 0.09, 200.1, -1, float("nan"), float("inf")]),
        ("batch_size", [0, -1, 65537]),
        ("initial_learning_rate", [-1e-9, 10.1, float("nan")]),
        ("image_size", [16, 40, 1040, 0]),
        ("seed", [-1, 2**32]),
    ],
)
def test_a_value_out_of_range_names_its_field(field: str, values: list[object]) -> None:
    for value in values:
        with pytest.raises(Invalid) as refused:
            resolve_options(OptionsRequest(**{field: value}))  # type: ignore[arg-type]
        assert refused.value.field == field


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("epochs", [0.1, 200]),
        ("batch_size", [1, 65536]),
        ("initial_learning_rate", [0, 10]),
        ("image_size", [32, 1024]),
        ("seed", [0, 2**32 - 1]),
    ],
)
def test_the_ends_of_a_range_belong_to_it(field: str, values: list[object]) -> None:
    for value in values:
        options = resolve_options(OptionsRequest(**{field: value}))  # type: ignore[arg-type]
        assert getattr(options, field) == value
