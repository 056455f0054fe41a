"""A version's options as people read them, in the order of the form."""

from typing import Any

import msgspec

from domain.training.form import training_form
from domain.training.form_controls import Control
from domain.training.options import TrainingOptions


class Fact(msgspec.Struct, frozen=True):
    """An option's label, and its value in words."""

    key: str
    label: str
    told: str


def facts_of(kind: str, options: TrainingOptions) -> list[Fact]:
    """Every option that applies; pretrained weights are named even if there were none."""
    found = []
    for control in training_form(kind).controls():
        value = _value(control, options)
        if value is not None:
            unit = f" {control.unit}" if control.unit else ""
            found.append(Fact(control.key, control.label, f"{control.told(value)}{unit}"))
    return found


def _value(control: Control, options: TrainingOptions) -> Any:
    value = getattr(options, control.key)
    if control.key == "augmentations":
        return [{"op": one.op} | one.parameters for one in options.augmentations]
    if control.key == "pretrained" and value is None and options.start_from is None:
        return "none"
    return value
