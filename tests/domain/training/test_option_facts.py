"""Options and their ranges in words."""

import pytest

from domain.training.form import KINDS, training_form
from domain.training.form_controls import plain
from domain.training.option_facts import facts_of
from domain.training.options import TrainingOptions, resolve_options


def told(kind: str, options: TrainingOptions) -> dict[str, str]:
    return {one.key: one.text for one in facts_of(kind, options)}


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_that_applies_is_told(kind: str) -> None:
    options = resolve_options(kind, {})
    shown = told(kind, options)
    for control in training_form(kind).controls():
        applies = getattr(options, control.key) is not None or control.key == "pretrained"
        assert (control.key in shown) is applies


def test_options_are_told_as_people_read_them() -> None:
    chosen = {
        "architecture": "vgg16",
        "initial_learning_rate": 2e-7,
        "balancing": True,
        "augmentations": ["vertical_flip", {"op": "contrast", "maximum": 1.5}],
    }
    shown = told("tagging", resolve_options("tagging", chosen))
    assert (shown["architecture"], shown["optimizer"]) == ("VGG 16", "Momentum")
    assert (shown["initial_learning_rate"], shown["width"]) == ("0.0000002", "224 px")
    assert (shown["epochs"], shown["balancing"]) == ("6", "on")
    assert shown["augmentations"] == (
        "Vertical flip, Contrast (least factor 0.8, largest factor 1.5)"
    )
    assert shown["pretrained"] == "Random weights"
    assert "pretrained" not in told("tagging", resolve_options("tagging", {"start_from": "v"}))


@pytest.mark.parametrize(
    ("number", "text"),
    [(6.0, "6"), (0.00001, "0.00001"), (9e-6, "0.000009"), (1e7, "10000000"), (100, "100")],
)
def test_numbers_have_no_exponent(number: float, text: str) -> None:
    assert plain(number) == text


def test_ranges_are_told_in_words() -> None:
    ranges = {one.key: one.range for one in training_form("classification").controls()}
    assert ranges["width"] == "from 32 to 1024, in steps of 16"
    assert ranges["epochs"] == "from 0.1 to 200"
    assert ranges["architecture"] == ""
