"""What a form is made of: controls in sections, as the page draws them and the resolver reads them.

A form is data. The page, the command line and the server's check all read the same one, so none can
know an option that another does not.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from domain.errors import Invalid

SELECT, NUMBER, INTEGER, TOGGLE, TEXT, LIST = (
    "select",
    "number",
    "integer",
    "toggle",
    "text",
    "list",
)

Value = str | float | bool | None
When = Mapping[str, tuple[Value, ...]]
"""For each key, the values of which it must have one. Only keys of earlier controls."""

ANY = "*"
"""Stands for every value of a key, but not for none."""


class Choice(msgspec.Struct, frozen=True):
    value: str
    label: str


class Default(msgspec.Struct, frozen=True):
    """The value that a control has where the user gave none, and `when` fits."""

    value: Any
    when: When = {}


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """One option.

    The first of `defaults` that fits counts; None is a value that is left out. `minimum` and
    `maximum` are allowed values themselves; `items` are the controls of each entry of a list, by
    the entry's `op`.
    """

    key: str
    type: str
    label: str
    help: str
    defaults: tuple[Default, ...]
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    unit: str = ""
    choices: tuple[Choice, ...] = ()
    items: dict[str, "tuple[Control, ...]"] = {}
    shown_when: When = {}

    @property
    def range(self) -> str:
        """Which numbers are taken, in words; empty where all are, or it is no number."""
        if self.minimum is None and self.maximum is None:
            return ""
        steps = self.type == INTEGER and self.step is not None
        text = _range(self.minimum, self.maximum)
        return f"{text}, in steps of {self.step:g}" if steps else text

    def shown(self, chosen: Mapping[str, Any]) -> bool:
        """Whether it counts, by what is chosen before it."""
        return fits(self.shown_when, chosen)

    def describe(self, value: Any) -> str:
        """A value as text, without its unit."""
        match value:
            case None:
                return "none"
            case bool():
                return "on" if value else "off"
            case int() | float():
                return plain(value)
            case str():
                return next(
                    (choice.label for choice in self.choices if choice.value == value), value
                )
        return ", ".join(self._describe_entry(entry) for entry in value) or "none"

    def _describe_entry(self, entry: Mapping[str, Any]) -> str:
        parameters = [
            f"{control.label.lower()} {plain(entry[control.key])}"
            for control in self.items.get(entry["op"], ())
            if control.key in entry
        ]
        label = self.describe(entry["op"])
        return f"{label} ({', '.join(parameters)})" if parameters else label

    def default(self, chosen: Mapping[str, Any]) -> Any:
        for default in self.defaults:
            if fits(default.when, chosen):
                return default.value
        return None


class Section(msgspec.Struct, frozen=True):
    """Controls that belong together; most users leave those of an `advanced` one as they are."""

    key: str
    label: str
    controls: tuple[Control, ...]
    advanced: bool = False


class TrainingPreset(msgspec.Struct, frozen=True):
    """Options that are chosen together, by the keys of the form. Values of the user's own come
    before them."""

    key: str
    label: str
    help: str
    options: dict[str, Any]


class Form(msgspec.Struct, frozen=True):
    """The options of a training in a view of this kind, and the presets to begin with.

    `basic` are the keys of the controls that a short form shows; the others are folded away.
    """

    kind: str
    sections: tuple[Section, ...]
    presets: tuple[TrainingPreset, ...] = ()
    basic: tuple[str, ...] = ()

    def controls(self) -> Iterator[Control]:
        for section in self.sections:
            yield from section.controls


def fits(when: When, chosen: Mapping[str, Any]) -> bool:
    return all(
        chosen.get(key) in values or (ANY in values and chosen.get(key) is not None)
        for key, values in when.items()
    )


def plain(number: float) -> str:
    """A number without an exponent: small learning rates are read as what they are."""
    text = f"{Decimal(repr(number)):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def resolve(
    controls: Iterator[Control], values: Mapping[str, Any], place: str = ""
) -> dict[str, Any]:
    """The value of every control: the user's, else its default; None where it is not shown.

    `place` goes before the keys that errors name. Raises `Invalid` for a key that no control has, a
    value of the wrong type, or one out of range.
    """
    left = dict(values)
    chosen: dict[str, Any] = {}
    for control in controls:
        value = left.pop(control.key, None)
        if value is not None:
            value = _checked(control, value, f"{place}{control.key}")
        if not control.shown(chosen):
            chosen[control.key] = None
        else:
            chosen[control.key] = control.default(chosen) if value is None else value
    if left:
        name = next(iter(left))
        names = ", ".join(chosen) or "none"
        raise Invalid(
            f"{name!r} is not an option; the options are: {names}", field=f"{place}{name}"
        )
    return chosen


def _checked(control: Control, value: Any, field: str) -> Any:
    match control.type:
        case "toggle":
            if not isinstance(value, bool):
                raise Invalid(f"{field} is {value!r}; it must be true or false", field=field)
            return value
        case "select":
            allowed = [choice.value for choice in control.choices]
            if value not in allowed:
                raise Invalid(
                    f"{field} is {value!r}; choose one of {', '.join(allowed)}", field=field
                )
            return value
        case "text":
            if not isinstance(value, str):
                raise Invalid(f"{field} is {value!r}; it must be text", field=field)
            return value
        case "list":
            return _checked_list(control, value, field)
    return _checked_number(control, value, field)


def _checked_number(control: Control, value: Any, field: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Invalid(f"{field} must be a number, got {value!r}", field=field)
    low, high = control.minimum, control.maximum
    # Not the other way round: NaN is neither below nor above.
    if not ((low is None or low <= value) and (high is None or value <= high)):
        raise Invalid(f"{field} is {value}; it must be {_range(low, high)}", field=field)
    if control.type == INTEGER:
        if value != int(value):
            raise Invalid(f"{field} is {value}; it must be a whole number", field=field)
        if control.step is not None and int(value) % int(control.step):
            raise Invalid(
                f"{field} is {value}; it must be a multiple of {int(control.step)}", field=field
            )
        return int(value)
    return float(value)


def _checked_list(control: Control, value: Any, field: str) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise Invalid(f"{field} must be a list of operations", field=field)
    resolved: list[dict[str, Any]] = []
    for number, entry in enumerate(value):
        place = f"{field}[{number}]"
        operation = {"op": entry} if isinstance(entry, str) else entry
        if not isinstance(operation, dict) or not isinstance(operation.get("op"), str):
            raise Invalid(f"{place} must name an operation in op", field=place)
        parameters = {key: parameter for key, parameter in operation.items() if key != "op"}
        if operation["op"] not in control.items:
            raise Invalid(
                f"{place} is {operation['op']!r}; choose from {', '.join(control.items)}",
                field=place,
            )
        own = resolve(iter(control.items[operation["op"]]), parameters, f"{place}.")
        if any(earlier["op"] == operation["op"] for earlier in resolved):
            raise Invalid(
                f"{operation['op']} is listed twice; each operation may be used once", field=place
            )
        resolved.append({"op": operation["op"]} | own)
    return resolved


def _range(low: float | None, high: float | None) -> str:
    if high is None:
        return f"at least {low:g}"
    if low is None:
        return f"at most {high:.16g}"
    return f"from {low:g} to {high:.16g}"
