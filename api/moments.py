"""Moments of the past, given by callers as a position of the log or a time."""

from datetime import datetime
from typing import Annotated

import msgspec

from domain.errors import Invalid

_Time = Annotated[datetime, msgspec.Meta(tz=True)]


def moment_in(text: str) -> int | datetime:
    """A position of the log, or an RFC 3339 time. Raises `Invalid`."""
    if text.isascii() and text.isdecimal() and len(text) <= 18:
        return int(text)
    try:
        return msgspec.convert(text, _Time)
    except msgspec.ValidationError as error:
        raise Invalid(
            "as_of must be a position of the log, from 0 on, or an RFC 3339 time with its"
            " offset, such as 2026-03-04T05:06:07Z (a + in an address is written %2B); got"
            f" {text!r}",
            field="as_of",
        ) from error
