"""A collector of traces on loopback, as much of one as a test needs (OTLP over HTTP, protobuf)."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Span(msgspec.Struct, frozen=True):
    """A span as it came, ids in hexadecimal; `parent` is empty for a root."""

    trace_id: str
    span_id: str
    parent: str
    name: str
    part: str
    event: str
    seconds: float


class Collector:
    """Keeps what it is sent."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._spans: list[Span] = []

    def take(self, request: bytes) -> None:
        sent = ExportTraceServiceRequest.FromString(request)
        for resource in sent.resource_spans:
            part = _text(resource.resource.attributes, "stemma.part")
            self._spans += [
                Span(
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.name,
                    part,
                    _text(span.attributes, "stemma.event"),
                    (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                )
                for scope in resource.scope_spans
                for span in scope.spans
            ]

    def named(self, name: str) -> list[Span]:
        return [span for span in list(self._spans) if span.name == name]

    def trace(self, trace_id: str) -> dict[str, Span]:
        """The spans of a trace, by their ids."""
        return {span.span_id: span for span in list(self._spans) if span.trace_id == trace_id}


@contextmanager
def collecting() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Not among the test's output."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


def _text(attributes: object, key: str) -> str:
    return next((one.value.string_value for one in attributes if one.key == key), "")  # type: ignore[attr-defined]
