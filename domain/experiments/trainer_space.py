"""The search space of a trainer: which settings of its form the trials vary, over which values."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from domain.errors import Conflict, Invalid
from domain.experiments.space import MOST_VALUES, Choices, Dimension, Interval, Parameters, Value
from domain.trainers.form import (
    Choice,
    Flag,
    Number,
    Setting,
    resolve_setting,
    resolve_settings,
)
from domain.trainers.trainer import Trainer, TrainerUse, trainer_id

EPOCHS, SEED = "epochs", "seed"
"""The setting with the length of a trial, and the one with its seed: neither is varied."""

BY_LOGARITHM = 100
"""Numbers whose range spans such a factor are searched by their logarithm."""


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Numbers from `least` to `most`, searched by their logarithm if `log`."""

    least: float
    most: float
    log: bool = False


Varied = dict[str, tuple[Value, ...] | Range]
"""What trials vary, by the keys of a form: some values, or a range of numbers."""


class TrainerSearch(msgspec.Struct, frozen=True):
    """The trainer of an experiment's trials, and what they vary of its `settings`, which have the
    values of all trials, or else the form's defaults. `whole` are the varied settings that take
    integers, and `labels` are those of the form, by keys.
    """

    trainer: TrainerUse
    varied: Varied
    whole: tuple[str, ...] = ()
    labels: dict[str, str] = {}


def has_length(form: Sequence[Setting]) -> bool:
    """Whether the length of trials can be given: the form has a whole number of epochs."""
    return any(
        isinstance(setting, Number) and setting.whole for setting in form if setting.key == EPOCHS
    )


def default_varied(settings: Sequence[Setting]) -> Varied:
    """All choices and flags, and the numbers with a least and a most value."""
    found: Varied = {}
    for setting in settings:
        if setting.key in (EPOCHS, SEED):
            continue
        match setting:
            case Number(least=least, most=most) if _is_range(least, most):
                assert least is not None
                assert most is not None
                log = least > 0 and most / least >= BY_LOGARITHM
                found[setting.key] = Range(least, most, log)
            case Choice(choices=choices) if len(choices) > 1:
                found[setting.key] = choices[:MOST_VALUES]
            case Flag():
                found[setting.key] = (False, True)
    return found


def _is_range(least: float | None, most: float | None) -> bool:
    return least is not None and most is not None and least < most


def search_of(
    trainer: Trainer, shared: Mapping[str, object], varied: Varied | None, epochs: int
) -> TrainerSearch:
    """The search of a trainer's settings. Without `varied`, what its form gives by default and is
    not `shared`; without epochs in `shared`, trials have `epochs`, or the most of the form.

    Raises `Conflict`, or `Invalid` naming a setting such as `varied.penalty`.
    """
    name, form = trainer.name, trainer.settings
    by_key = {setting.key: setting for setting in form}
    length = by_key.get(EPOCHS)
    if not has_length(form) or not isinstance(length, Number):
        raise Conflict(
            f"the form of {name} has no setting {EPOCHS!r} of whole numbers, which the length of"
            " trials is given by",
            field="trainer",
        )
    least = 1 if length.least is None else max(1, int(length.least))
    default = max(epochs if length.most is None else min(epochs, int(length.most)), least)
    settings = resolve_settings(form, {EPOCHS: default, **shared})
    if settings[EPOCHS] < 1:  # type: ignore[operator]
        raise Invalid("trials need at least one epoch", field=EPOCHS)
    if varied is None:
        found = default_varied(form)
        varied = {key: values for key, values in found.items() if key not in shared}
    if not varied:
        raise Invalid(
            f"nothing is varied: name settings of {name} and their values", field="varied"
        )
    checked: Varied = {}
    for key, values in varied.items():
        if key not in by_key:
            takes = ", ".join(by_key)
            raise _refused(key, f"is no setting of {name}; it takes {takes}")
        if key in (EPOCHS, SEED):
            raise _refused(key, "is the same in all trials; give it in `settings`")
        if key in shared:
            raise _refused(key, "is both varied and in `settings`")
        checked[key] = _checked(by_key[key], values)
    whole = tuple(key for key, setting in by_key.items() if _is_whole(setting) and key in checked)
    use = TrainerUse(trainer_id(name), name, trainer.form, settings, trainer.format)
    labels = {setting.key: setting.label for setting in form if setting.label}
    return TrainerSearch(use, checked, whole, labels)


def _is_whole(setting: Setting) -> bool:
    return isinstance(setting, Number) and setting.whole


def _checked(setting: Setting, values: tuple[Value, ...] | Range) -> tuple[Value, ...] | Range:
    key = setting.key
    if isinstance(values, Range):
        if not isinstance(setting, Number):
            raise _refused(key, "is no number; list its values")
        least, most = (float(_one(setting, value)) for value in (values.least, values.most))
        if least > most:
            raise _refused(key, f"is {least:g} to {most:g}; give the lower end first")
        if values.log and least <= 0:
            raise _refused(key, f"begins at {least:g}; a logarithm needs numbers above 0")
        return Range(least, most, values.log)
    if not values:
        raise _refused(key, "has no values")
    if len(values) > MOST_VALUES:
        raise _refused(key, f"has {len(values)} values; at most {MOST_VALUES} fit")
    found = tuple(_one(setting, value) for value in values)
    if len(set(found)) < len(found):
        raise _refused(key, "has a value more than once")
    return found


def _one(setting: Setting, value: object) -> Any:
    try:
        return resolve_setting(setting, value)
    except Invalid as wrong:
        raise Invalid(wrong.detail, field=f"varied.{setting.key}") from wrong


def _refused(key: str, detail: str) -> Invalid:
    return Invalid(f"varied.{key} {detail}", field=f"varied.{key}")


def dimensions_of(search: TrainerSearch) -> dict[str, Dimension]:
    """What is searched, in the order in which it was given; one value is no dimension."""
    found: dict[str, Dimension] = {}
    for key, values in search.varied.items():
        match values:
            case Range(least, most, log) if least < most:
                found[key] = Interval(least, most, log, key in search.whole)
            case tuple() if len(values) > 1:
                found[key] = Choices(values)
    return found


def fixed_of(search: TrainerSearch) -> Parameters:
    """The parameters that have one value only."""
    found: Parameters = {}
    for key, values in search.varied.items():
        match values:
            case Range(least, most) if least == most:
                found[key] = int(least) if key in search.whole else least
            case (value,):
                found[key] = value
    return found


def default_trial(search: TrainerSearch) -> Parameters:
    """The form's defaults, as far as they are in the space."""
    chosen = fixed_of(search)
    for key, dimension in dimensions_of(search).items():
        default = search.trainer.settings[key]
        match dimension:
            case Interval(low, high, whole=whole):
                value = min(max(float(default), low), high)
                chosen[key] = int(value) if whole else value
            case Choices(values):
                chosen[key] = next((each for each in values if each == default), values[0])
    return chosen


def use_of(search: TrainerSearch, parameters: Parameters) -> TrainerUse:
    """What the version of a trial records: the trainer with its settings."""
    settings = {**search.trainer.settings, **parameters}
    return msgspec.structs.replace(search.trainer, settings=settings)
