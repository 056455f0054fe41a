"""Names and reasons that people type, and names of files."""

import unicodedata

from domain.errors import Invalid

MAX_NAME = 200
MAX_REASON = 1000

_REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Bidirectional embeddings, overrides and isolates: text after one is not shown in its order."""

_CONTROLS = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode's categories of control characters, halves of a surrogate pair, and line breaks."""


def is_text(value: str) -> bool:
    """Whether there are neither control characters nor ones that reorder text.

    Nothing else is refused: letters and spaces of every script, joiners, and the narrow no-break
    space U+202F in the names that macOS gives to screenshots.
    """
    return not any(char in _REORDERING or unicodedata.category(char) in _CONTROLS for char in value)


def escaped(value: str) -> str:
    """The text with `\\n`, `\\x1b`, `\\u202e` and so on for each character that `is_text` refuses.

    Events of before that refusal, and what others wrote, may hold such characters.
    """
    if is_text(value):
        return value
    return "".join(
        char if is_text(char) else char.encode("unicode_escape").decode() for char in value
    )


def refuse_controls(value: str, field: str) -> None:
    """Raise `Invalid` unless it is text, naming the first character that is not."""
    for char in value:
        if not is_text(char):
            what = "characters that reorder text" if char in _REORDERING else "control characters"
            raise Invalid(f"{field} has {what} (U+{ord(char):04X}); remove them", field=field)


def clean_name(value: str, field: str = "name", longest: int = MAX_NAME) -> str:
    """The name without surrounding space. Raises `Invalid` if empty, too long or no text."""
    name = value.strip()
    if not name:
        raise Invalid(f"{field} is empty; give one", field=field)
    if len(name) > longest:
        raise Invalid(f"{field} has {len(name)} characters; at most {longest} fit", field=field)
    refuse_controls(name, field)
    return name


def same_text(value: str) -> str:
    """The form in which texts are compared: one name can be spelt in several Unicode forms, of
    which Linux and Windows write NFC and macOS NFD. The text as it was given is displayed."""
    return unicodedata.normalize("NFC", value)


def refuse_unstorable(value: str, field: str) -> None:
    """Raise `Invalid` for text that PostgreSQL cannot store: a NUL, or half of a surrogate pair."""
    if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in value):
        raise Invalid(f"{field} has a character that is no text; remove it", field=field)
