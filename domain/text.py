"""Names and reasons that people type."""

import unicodedata

from domain.errors import Invalid

MAX_NAME = 200
MAX_REASON = 1000


def clean_name(value: str, field: str = "name", longest: int = MAX_NAME) -> str:
    """The name without surrounding space. Raises `Invalid` if empty, too long or unprintable."""
    name = value.strip()
    if not name:
        raise Invalid(f"{field} is empty; give one", field=field)
    if len(name) > longest:
        raise Invalid(f"{field} has {len(name)} characters; at most {longest} fit", field=field)
    if not name.isprintable():
        raise Invalid(f"{field} has control characters; remove them", field=field)
    return name


def same_text(value: str) -> str:
    """The form in which texts are compared: one name can be spelt in several Unicode forms, of
    which Linux and Windows write NFC and macOS NFD. The text as it was given is displayed."""
    return unicodedata.normalize("NFC", value)


def refuse_unstorable(value: str, field: str) -> None:
    """Raise `Invalid` for text that PostgreSQL cannot store: a NUL, or half of a surrogate pair."""
    if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in value):
        raise Invalid(f"{field} has a character that is no text; remove it", field=field)
