"""Trace ids that follow from what the log holds already, so that no process need pass them on.

A trace is a correlation id: whoever knows an event, a job or a report knows its trace. Ids are as
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
    """A span of somebody else's, in hexadecimal."""

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
    """The header of that name: the trace of a correlation id, in it the span of a name, sampled."""
    return f"00-{trace_id_of(correlation_id)}-{span_id_of(name)}-01"


def parse_traceparent(header: str) -> Caller | None:
    """Whose span a header of that name tells of; None if it tells of none."""
    found = _TRACEPARENT.fullmatch(header)
    return None if found is None else Caller(found[1], found[2])


def _digits(text: str, count: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:count]
