"""The cost of tracing: appends as services do them, without and with a collector, against the bare
store."""

import os
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from adapters.observability import logs, tracing
from adapters.observability.event_spans import TracedStore
from application.log.store import Store
from benchmarks.append import append_images, take_turns
from benchmarks.database import checkpoint, migrated_postgres
from benchmarks.measurements import Expected, Measurement
from benchmarks.processes import data_folder
from benchmarks.quiet import Repetitions, repeat

APPENDS, QUICK_APPENDS = 300, 10
Speeds = tuple[float, float]


def run(quick: bool) -> list[Measurement]:
    """Single events saved a second, each in a span and with its ids bound, as in a request."""
    appends, times = (QUICK_APPENDS, 1) if quick else (APPENDS, 5)
    with data_folder() as folder, migrated_postgres(folder) as server:
        traced, bare = TracedStore(server.app_url), Store(server.app_url)

        def measure() -> Speeds:
            checkpoint(server.admin_url)
            return take_turns(
                partial(_in_a_span, traced), partial(append_images, bare, 1), appends, 1
            )

        try:
            off = repeat(times, measure, spare=0 if quick else 3)
            with _collecting():
                on = repeat(times, measure, spare=0 if quick else 3)
        finally:
            traced.close()
            bare.close()
    return [
        _measurement("appends without a collector", off, Expected(0.95, at_least=True)),
        _measurement("appends with one", on),
    ]


def _in_a_span(store: Store) -> None:
    correlation_id = str(uuid.uuid4())
    with logs.about(correlation_id), tracing.span("request", correlation_id, kind="server"):
        append_images(store, 1)


def _measurement(
    what: str, done: Repetitions[Speeds], expected: Expected | None = None
) -> Measurement:
    ours, theirs = zip(*done.results, strict=True)
    return Measurement(
        what=what,
        unit="events/s",
        ours=ours,
        alternative="the bare store",
        theirs=theirs,
        expected=expected,
        others=done.others,
    )


@contextmanager
def _collecting() -> Iterator[None]:
    """Record traces and send them to a collector in this process, which discards them."""

    class Discarding(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Do not log requests among the results."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Discarding) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        os.environ[tracing.ENDPOINTS[0]] = f"http://127.0.0.1:{server.server_port}"
        try:
            tracing.set_up("benchmark")
            yield
        finally:
            tracing.end()
            del os.environ[tracing.ENDPOINTS[0]]
            server.shutdown()
            thread.join()
