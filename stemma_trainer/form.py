"""The form of a trainer: the settings that it takes, as the server keeps them."""

from collections.abc import Sequence

import msgspec


class Number(msgspec.Struct, frozen=True, tag_field="control", tag="number"):
    """A finite number; with `whole` an integer. `least` and `most` are allowed, too."""

    key: str
    default: float
    label: str = ""
    least: float | None = None
    most: float | None = None
    whole: bool = False


class Choice(msgspec.Struct, frozen=True, tag_field="control", tag="choice"):
    """One of some texts."""

    key: str
    default: str
    choices: tuple[str, ...]
    label: str = ""


class Flag(msgspec.Struct, frozen=True, tag_field="control", tag="flag"):
    """Yes or no."""

    key: str
    default: bool
    label: str = ""


class Text(msgspec.Struct, frozen=True, tag_field="control", tag="text"):
    """A short text."""

    key: str
    default: str
    label: str = ""


Setting = Number | Choice | Flag | Text


class Form:
    """The kinds of views that are trained (one, or several), and the settings."""

    def __init__(self, kinds: str | Sequence[str], settings: Sequence[Setting] = ()) -> None:
        self.kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
        self.settings = tuple(settings)

    def json(self, *, predicts: bool = False) -> bytes:
        """What `stemma trainers register` reads; with `predicts` the trainer has a predictor."""
        form = {"kinds": self.kinds, "settings": self.settings}
        return msgspec.json.encode(form | ({"predicts": True} if predicts else {}))
