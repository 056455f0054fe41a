"""A version's options as text, in the order of its form."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from domain.trainers.form import Setting
from domain.trainers.trainer import TrainerUse
from domain.training.adoption import NOT_WITNESSED
from domain.training.form import NONE, training_form
from domain.training.form_controls import Control, plain, resolve
from domain.training.options import TrainingOptions

NOT_SET = "not set"


class Fact(msgspec.Struct, frozen=True):
    """An option's label, its value as text, and whether that is another than the default."""

    key: str
    label: str
    text: str
    changed: bool = False


def facts_of(
    kind: str, options: TrainingOptions, at_hand: frozenset[str] = frozenset()
) -> list[Fact]:
    """The facts of every option that applies; pretrained weights are listed even if none.

    The defaults are those where `at_hand` are the files of pretrained weights there are.
    """
    facts = []
    chosen: dict[str, Any] = {}
    for control in training_form(kind, at_hand, crops=options.crops).controls():
        value = _value(control, options)
        changed = value != _default(control, chosen)
        chosen[control.key] = value
        if value is not None:
            unit = f" {control.unit}" if control.unit else ""
            text = f"{control.describe(value)}{unit}"
            facts.append(Fact(control.key, control.label, text, changed))
    if options.margin_crop and not options.crops:
        facts.append(Fact("margin_crop", "Margin cut off", f"{options.margin_crop:g}", True))
    return facts


def facts_of_trainer(
    use: TrainerUse, settings: Sequence[Setting] = (), *, adopted: bool = False
) -> list[Fact]:
    """The facts of a version that a trainer trained, by the labels and defaults of its form."""
    known = {setting.key: setting for setting in settings}
    return [
        Fact("trainer", "Trainer", use.name),
        *([Fact("adopted", "Training", NOT_WITNESSED)] if adopted else []),
        *(_setting_fact(key, value, known) for key, value in use.settings.items()),
    ]


def facts_to_compare(
    kind: str, options: TrainingOptions, use: TrainerUse | None, *, adopted: bool
) -> list[Fact]:
    """The facts of a version, to be compared with those of others."""
    if use is not None:
        return facts_of_trainer(use, adopted=adopted)
    return facts_of(kind, options)


def differing(versions: Sequence[Sequence[Fact]]) -> list[tuple[str, list[str]]]:
    """The options that are not the same in all versions: the label, and the text of each."""
    by_version = [{fact.key: fact for fact in facts} for facts in versions]
    labels = {key: fact.label for facts in by_version for key, fact in facts.items()}
    found = []
    for key, label in labels.items():
        texts = [facts[key].text if key in facts else NOT_SET for facts in by_version]
        if len(set(texts)) > 1:
            found.append((label, texts))
    return found


def _setting_fact(key: str, value: bool | float | str, known: Mapping[str, Setting]) -> Fact:
    setting = known.get(key)
    label = (setting.label if setting else "") or key
    match value:
        case bool():
            text = "on" if value else "off"
        case int() | float():
            text = plain(value)
        case _:
            text = value or "none"
    return Fact(key, label, text, setting is not None and value != setting.default)


def _value(control: Control, options: TrainingOptions) -> Any:
    value = getattr(options, control.key)
    if control.key == "augmentations":
        return [{"op": operation.op} | operation.parameters for operation in options.augmentations]
    if control.key == "pretrained" and value is None and options.start_from is None:
        return NONE
    return value


def _default(control: Control, chosen: Mapping[str, Any]) -> Any:
    if not control.shown(chosen):
        return None
    default = control.default(chosen)
    if control.key != "augmentations":
        return default
    return [entry | resolve(iter(control.items[entry["op"]]), {}) for entry in default]
