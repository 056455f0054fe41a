"""Trace ids that follow from what the log holds already, so that no process need pass them on.

A trace is a correlation id: whoever knows an event, a job or a report knows its trace. Ids are as
W3C Trace Context (level 1) has them, in hexadecimal.
"""

import hashlib
import re

_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")


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


def _digits(text: str, count: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:count]
