"""Traces of requests across processes, sent to a collector with OpenTelemetry.

Trace ids are derived from correlation ids. Ids of spans that others refer to are derived from ids
that all processes know (`domain.trace_context`). So no trace context is stored or passed on, and a
span finds its parent after any restart. Nothing is recorded, at a negligible cost, unless
OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from domain.trace_context import trace_id_of

if TYPE_CHECKING:
    from adapters.observability.spans import Spans

Attributes = Mapping[str, str | int | float]

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

_spans: "Spans | None" = None


def set_up(part: str) -> None:
    """Record from now on, if the environment names a collector; effective once in a process."""
    global _spans  # noqa: PLW0603
    if _spans is None and any(os.environ.get(name) for name in ENDPOINTS):
        from adapters.observability.spans import Spans

        _spans = Spans(part)


def on() -> bool:
    return _spans is not None


def end() -> None:
    """Send pending spans, and stop recording. For a process that does not wait for its exit
    handlers."""
    global _spans  # noqa: PLW0603
    if _spans is not None:
        _spans.end()
        _spans = None


@contextmanager
def span(
    name: str,
    correlation_id: str,
    *,
    parent: str | None = None,
    own: str | None = None,
    kind: str = "internal",
    attributes: Attributes | None = None,
) -> Iterator[None]:
    """A span in the correlation's trace; an exception marks it as an error.

    Its parent is the current span if that is in the same trace, otherwise `parent`. `own` is its id
    if others refer to it. `kind` is one of OpenTelemetry's, in lower case.
    """
    if _spans is None:
        yield
        return
    begun = _spans.begin(name, trace_id_of(correlation_id), parent, own, kind, attributes or {})
    with _spans.within(begun):
        yield


def record(
    name: str,
    correlation_id: str,
    began: int,
    ended: int,
    *,
    parent: str | None = None,
    own: str | None = None,
    kind: str = "internal",
    attributes: Attributes | None = None,
) -> None:
    """Record a completed span from `began` to `ended`, in nanoseconds since the epoch."""
    if _spans is not None:
        trace_id = trace_id_of(correlation_id)
        opened = _spans.begin(name, trace_id, parent, own, kind, attributes or {}, began)
        opened.end(ended)


def describe(**attributes: str | int | float) -> None:
    """Add attributes to the current span."""
    if _spans is not None:
        _spans.describe(attributes)
