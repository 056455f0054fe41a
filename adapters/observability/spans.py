"""The OpenTelemetry SDK with predetermined ids of traces and spans."""

import os
import socket
import threading
from contextlib import AbstractContextManager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags

from adapters.observability.tracing import Attributes


class Spans:
    """The spans of this process, and the exporter that sends them in the background.

    The SDK's own variables set the endpoint, the sampling (OTEL_TRACES_SAMPLER) and the interval.
    """

    def __init__(self, part: str) -> None:
        self._ids = _Ids()
        resource = Resource.create(
            {
                "service.name": os.environ.get("OTEL_SERVICE_NAME", "stemma"),
                "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
                "stemma.part": part,
            }
        )
        self._provider = TracerProvider(resource=resource, id_generator=self._ids)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("stemma")

    def end(self) -> None:
        self._provider.shutdown()

    def begin(
        self,
        name: str,
        trace_id: str,
        parent: str | None,
        own: str | None,
        kind: str,
        attributes: Attributes,
        began: int | None = None,
    ) -> Span:
        """Begin a span, which the caller ends; see `adapters.observability.tracing.span`."""
        with self._ids.next_are(int(trace_id, 16), None if own is None else int(own, 16)):
            return self._tracer.start_span(
                name,
                context=_within(int(trace_id, 16), parent),
                kind=SpanKind[kind.upper()],
                attributes=dict(attributes),
                start_time=began,
            )

    def within(self, begun: Span) -> AbstractContextManager[Span]:
        """Make a span the current one; it ends with the context."""
        return trace.use_span(begun, end_on_exit=True)

    def describe(self, attributes: Attributes) -> None:
        trace.get_current_span().set_attributes(dict(attributes))


def _within(trace_id: int, parent: str | None) -> Context | None:
    """None, for the current span, if it is in this trace; otherwise the context of the parent."""
    if trace.get_current_span().get_span_context().trace_id == trace_id:
        return None
    if parent is None:
        return Context()
    flags = TraceFlags(TraceFlags.SAMPLED)
    remote = SpanContext(trace_id, int(parent, 16), is_remote=True, trace_flags=flags)
    return trace.set_span_in_context(NonRecordingSpan(remote), Context())


class _Ids(RandomIdGenerator):
    """Generates the ids set by `next_are` in this thread, otherwise random ones."""

    def __init__(self) -> None:
        self._next = threading.local()

    def next_are(self, trace_id: int, span_id: int | None) -> "_Ids":
        self._next.trace_id, self._next.span_id = trace_id, span_id
        return self

    def __enter__(self) -> None:
        """Use the ids that were set until the context ends."""

    def __exit__(self, *_: object) -> None:
        self._next.trace_id = self._next.span_id = None

    def generate_trace_id(self) -> int:
        return getattr(self._next, "trace_id", None) or super().generate_trace_id()

    def generate_span_id(self) -> int:
        return getattr(self._next, "span_id", None) or super().generate_span_id()
