"""Options and their ranges in words."""

import pytest

from domain.trainers.form import Flag, Number, Setting, Text
from domain.trainers.trainer import TrainerUse
from domain.training.architectures import ARCHITECTURES, DEFAULT_ARCHITECTURES
from domain.training.form import KINDS, training_form
from domain.training.form_controls import plain
from domain.training.option_facts import differing, facts_of, facts_of_trainer
from domain.training.options import TrainingOptions, resolve_options


def told(kind: str, options: TrainingOptions) -> dict[str, str]:
    return {one.key: one.text for one in facts_of(kind, options)}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_the_default_is_marked(kind: str) -> None:
    assert not [fact for fact in facts_of(kind, resolve_options(kind, {})) if fact.changed]
    flips = {"op": "horizontal_flip"}
    chosen = {"optimizer": "rmsprop", "epsilon": 0.5, "augmentations": [flips, "contrast"]}
    marked = [fact.key for fact in facts_of(kind, resolve_options(kind, chosen)) if fact.changed]
    assert marked == ["optimizer", "epsilon", "augmentations"]
    # A rate that is the default of its optimizer is one, and weights at hand are expected.
    weights = frozenset(ARCHITECTURES[DEFAULT_ARCHITECTURES[kind]].weights.values())
    left = [fact.key for fact in facts_of(kind, resolve_options(kind, {}), weights) if fact.changed]
    assert left == (["pretrained"] if weights else [])


def test_settings_of_a_trainer_have_the_labels_and_defaults_of_its_form() -> None:
    form: list[Setting] = [
        Number("depth", 3, "Tree depth"),
        Flag("bagging", True),
        Text("note", ""),
    ]
    use = TrainerUse("t", "acme/forest", "f", {"depth": 5, "bagging": True, "note": ""}, "opaque")
    facts = facts_of_trainer(use, form)
    assert [(fact.label, fact.text, fact.changed) for fact in facts] == [
        ("Trainer", "acme/forest", False),
        ("Tree depth", "5", True),
        ("bagging", "on", False),
        ("note", "none", False),
    ]
    assert [fact.label for fact in facts_of_trainer(use)][1] == "depth"
    other = facts_of("classification", resolve_options("classification", {}))
    labels = [label for label, _ in differing([facts, other])]
    assert labels[:2] == ["Trainer", "Tree depth"]
    assert differing([facts, facts]) == []


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
        "Vertical flip, Contrast (minimum factor 0.8, maximum factor 1.5)"
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
