"""A version's options as text, in the order of the form."""

from typing import Any

import msgspec

from domain.trainers.trainer import TrainerUse
from domain.training.adoption import NOT_WITNESSED
from domain.training.form import training_form
from domain.training.form_controls import Control
from domain.training.options import TrainingOptions


class Fact(msgspec.Struct, frozen=True):
    """An option's label, and its value as text."""

    key: str
    label: str
    text: str


def facts_of(kind: str, options: TrainingOptions) -> list[Fact]:
    """The facts of every option that applies; pretrained weights are listed even if none."""
    facts = []
    for control in training_form(kind, crops=options.crops).controls():
        value = _value(control, options)
        if value is not None:
            unit = f" {control.unit}" if control.unit else ""
            facts.append(Fact(control.key, control.label, f"{control.describe(value)}{unit}"))
    if options.margin_crop and not options.crops:
        facts.append(Fact("margin_crop", "Margin cut off", f"{options.margin_crop:g}"))
    return facts


def facts_of_trainer(trainer: TrainerUse, *, adopted: bool = False) -> list[Fact]:
    """The facts of a version of a user's trainer: its settings, by their own keys."""
    return [
        Fact("trainer", "Trainer", trainer.name),
        *([Fact("adopted", "Training", NOT_WITNESSED)] if adopted else []),
        *(Fact(key, key, f"{value}") for key, value in trainer.settings.items()),
    ]


def _value(control: Control, options: TrainingOptions) -> Any:
    value = getattr(options, control.key)
    if control.key == "augmentations":
        return [{"op": operation.op} | operation.parameters for operation in options.augmentations]
    if control.key == "pretrained" and value is None and options.start_from is None:
        return "none"
    return value
