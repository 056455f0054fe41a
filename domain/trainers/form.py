"""The form of a trainer: which settings it takes, as data. Settings are checked against it."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from domain.errors import Invalid
from domain.text import clean_name

MOST_SETTINGS = 100
Value = bool | int | float | str

Key = Annotated[str, msgspec.Meta(pattern=r"\A[a-z][a-z0-9_]{0,49}\Z")]


class Number(msgspec.Struct, frozen=True, tag_field="control", tag="number"):
    """A finite number; with `whole` an integer. `least` and `most` are allowed, too."""

    key: Key
    default: float
    label: str = ""
    least: float | None = None
    most: float | None = None
    whole: bool = False


class Choice(msgspec.Struct, frozen=True, tag_field="control", tag="choice"):
    """One of some texts."""

    key: Key
    default: str
    choices: tuple[str, ...]
    label: str = ""


class Flag(msgspec.Struct, frozen=True, tag_field="control", tag="flag"):
    """Yes or no."""

    key: Key
    default: bool
    label: str = ""


class Text(msgspec.Struct, frozen=True, tag_field="control", tag="text"):
    """A short text."""

    key: Key
    default: str
    label: str = ""


Setting = Number | Choice | Flag | Text


def check_form(settings: Sequence[Setting]) -> None:
    """Raises `Invalid` for a form whose defaults could not be chosen, naming the setting."""
    if len(settings) > MOST_SETTINGS:
        raise Invalid(
            f"the form has {len(settings)} settings; at most {MOST_SETTINGS} fit", field="settings"
        )
    keys = [setting.key for setting in settings]
    for setting in settings:
        if keys.count(setting.key) > 1:
            raise Invalid(f"the form lists {setting.key!r} twice", field=f"settings.{setting.key}")
        if setting.label:
            clean_name(setting.label, f"settings.{setting.key}.label")
        if isinstance(setting, Choice):
            for choice in setting.choices:
                clean_name(choice, f"settings.{setting.key}.choices")
        try:
            resolve_setting(setting, setting.default)
        except Invalid as wrong:
            raise Invalid(
                f"the default does not fit: {wrong.detail}", field=f"settings.{setting.key}"
            ) from wrong


def digest_of(kinds: Sequence[str], settings: Sequence[Setting]) -> str:
    """The sha256 of a form's JSON with sorted keys."""
    return hashlib.sha256(msgspec.json.encode([kinds, settings], order="sorted")).hexdigest()


def resolve_settings(settings: Sequence[Setting], given: Mapping[str, object]) -> dict[str, Value]:
    """The chosen settings, with a default for each that was left out. Raises `Invalid` naming the
    one that is unknown, of the wrong type or out of range."""
    known = {setting.key for setting in settings}
    for key in given:
        if key not in known:
            takes = ", ".join(sorted(known)) or "no settings"
            raise Invalid(f"the trainer has no setting {key!r}; it takes {takes}", field=key)
    return {
        setting.key: resolve_setting(setting, given.get(setting.key, setting.default))
        for setting in settings
    }


def resolve_setting(setting: Setting, value: object) -> Value:
    """A value that was chosen, as the trainer gets it. Raises `Invalid`."""
    match setting:
        case Number():
            return _number(setting, value)
        case Choice():
            # `--set side=8` is a number, and a form in the page has only texts.
            is_int = isinstance(value, int) and not isinstance(value, bool)
            text = str(value) if is_int else value
            if not isinstance(text, str) or text not in setting.choices:
                raise _refused(setting, value, f"one of: {', '.join(setting.choices)}")
            return text
        case Flag():
            if not isinstance(value, bool):
                raise _refused(setting, value, "true or false")
            return value
        case Text():
            if not isinstance(value, str):
                raise _refused(setting, value, "text")
            return clean_name(value, setting.key) if value else value


def _number(setting: Number, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _refused(setting, value, "a finite number")
    if setting.whole and value != int(value):
        raise _refused(setting, value, "a whole number")
    too_small = setting.least is not None and value < setting.least
    if too_small or (setting.most is not None and value > setting.most):
        raise _refused(setting, value, _range(setting))
    return int(value) if setting.whole else float(value)


def _range(setting: Number) -> str:
    if setting.most is None:
        return f"at least {setting.least:g}"
    if setting.least is None:
        return f"at most {setting.most:g}"
    return f"from {setting.least:g} to {setting.most:g}"


def _refused(setting: Setting, value: object, right: str) -> Invalid:
    return Invalid(f"{setting.key} is {value!r}; it must be {right}", field=setting.key)
