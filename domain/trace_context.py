"""Trace ids derived from ids in the log, so that no process has to pass them on.

A trace is a correlation id: an event, a job and a report determine their trace. Ids are as
W3C Trace Context (level 1) has them, in hexadecimal.
"""

import hashlib
import re
from typing import NamedTuple

_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?"
)


class Caller(NamedTuple):
    """The span of a caller, in hexadecimal."""

    trace_id: str
    span_id: str


def trace_id_of(correlation_id: str) -> str:
    """32 hexadecimal digits: the correlation id itself where it is a trace id already."""
    if _TRACE_ID.fullmatch(correlation_id):
        return correlation_id
    return _digits(correlation_id, 32)


def span_id_of(name: str) -> str:
    """16 hexadecimal digits for a span that others refer to, such as that of an event's id."""
    return _digits(name, 16)


def traceparent(correlation_id: str, name: str) -> str:
    """The `traceparent` header of the span with this name in a correlation id's trace, sampled."""
    return f"00-{trace_id_of(correlation_id)}-{span_id_of(name)}-01"


def parse_traceparent(header: str) -> Caller | None:
    """The caller's span in a `traceparent` header; None if the header is invalid."""
    match = _TRACEPARENT.fullmatch(header)
    return None if match is None else Caller(match[1], match[2])


def _digits(text: str, count: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:count]
