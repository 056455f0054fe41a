"""Names and reasons that people type, and names of files."""

import re
import unicodedata

from domain.errors import Invalid

MAX_NAME = 200
MAX_REASON = 1000

_REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Bidirectional embeddings, overrides and isolates: text after one is not shown in its order."""

_NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Unicode's control characters (Cc), halves of a surrogate pair (Cs), line breaks (Zl, Zp), and
those that reorder text."""

_NOUNS = {"why": "reason"}
"""Fields that are published under another word."""

_LAYOUT = {ord(char): " " for char in "\n\r\t"}


def is_text(value: str) -> bool:
    """Whether there are neither control characters nor ones that reorder text.

    Nothing else is refused: letters and spaces of every script, joiners, and the narrow no-break
    space U+202F in the names that macOS gives to screenshots.
    """
    return _NO_TEXT.search(value) is None


def escaped(value: str) -> str:
    """The text with `\\n`, `\\x1b`, `\\u202e` and so on for each character that `is_text` refuses.

    Events older than this check, and texts from other systems, may hold such characters.
    """
    return _NO_TEXT.sub(lambda match: match[0].encode("unicode_escape").decode(), value)


def escaped_lines(value: str) -> str:
    """The same for text of several lines, whose line feeds and tabs stay."""
    return re.sub(r"[^\n\t]+", lambda match: escaped(match[0]), value)


def refuse_controls(value: str, field: str) -> None:
    """Raise `Invalid` unless it is text, naming the first character that is not."""
    if is_text(value):
        return
    for char in value:
        if not is_text(char):
            what = "characters that reorder text" if char in _REORDERING else "control characters"
            raise Invalid(f"{field} has {what} (U+{ord(char):04X}); remove them", field=field)


def clean_name(value: str, field: str = "name", longest: int = MAX_NAME) -> str:
    """The name without surrounding space. Raises `Invalid` if empty, too long or no text."""
    name = value.strip()
    if not name:
        raise Invalid(f"enter a {_NOUNS.get(field, field)}", field=field)
    if len(name) > longest:
        raise Invalid(f"{field} has {len(name)} characters; at most {longest} fit", field=field)
    refuse_controls(name, field)
    return name


def same_text(value: str) -> str:
    """The form in which texts are compared: one name can be spelt in several Unicode forms, of
    which Linux and Windows write NFC and macOS NFD. The text as it was given is displayed."""
    return unicodedata.normalize("NFC", value)


def refuse_unprintable(value: str, field: str) -> None:
    """Raise `Invalid` unless it is text, which may have several lines and tabs."""
    refuse_controls(value.translate(_LAYOUT), field)
