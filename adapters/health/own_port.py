"""Health and metrics of a process other than the API, on the port `STEMMA_METRICS_PORT`.

`/metrics` in Prometheus' text format, `/health/live` and `/health/ready`.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

import msgspec
from prometheus_client import (
    CollectorRegistry,
    PlatformCollector,
    ProcessCollector,
    make_wsgi_app,
)
from prometheus_client.exposition import ThreadingWSGIServer

from adapters.health.health import Alive, Health, PartHealth, aggregate_health
from adapters.settings import Settings, SettingsError

FRESH_SECONDS = 1.0
"""All requests within this time share one result."""

_REQUEST_SECONDS = 5.0

log = logging.getLogger(__name__)

Checks = Callable[[], Mapping[str, PartHealth]]
"""Checks the parts of the process and the servers that it needs."""


class _Server(ThreadingWSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = _REQUEST_SECONDS

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Probes and scrapes are not logged."""


def own_registry() -> CollectorRegistry:
    """A registry with the metrics of every process: memory, CPU, open files."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


@contextmanager
def own_port(settings: Settings, registry: CollectorRegistry, checks: Checks) -> Iterator[None]:
    """Serve the port, if one is set. Raises `SettingsError` if it is taken."""
    if not settings.metrics_port:
        yield
        return
    address = settings.metrics_host, settings.metrics_port
    try:
        server = make_server(*address, _application(registry, checks), _Server, _Handler)
    except (OSError, OverflowError) as error:
        raise SettingsError(
            f"STEMMA_METRICS_PORT {settings.metrics_port} at STEMMA_METRICS_HOST"
            f" {settings.metrics_host} cannot be used: {error}; give each process its own port"
        ) from error
    serve = partial(server.serve_forever, poll_interval=0.1)
    thread = threading.Thread(target=serve, name="own port", daemon=True)
    thread.start()
    log.info("metrics and health are at http://%s:%d", *address)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _CachedHealth:
    """The health of the process, checked at most once a second."""

    def __init__(self, checks: Checks) -> None:
        self._checks = checks
        self._lock = threading.Lock()
        self._last: Health | None = None
        self._taken_at = 0.0

    def get(self) -> Health:
        with self._lock:
            if self._last is None or time.monotonic() - self._taken_at > FRESH_SECONDS:
                self._last = aggregate_health(self._checks())
                self._taken_at = time.monotonic()
            return self._last


def _application(
    registry: CollectorRegistry, checks: Checks
) -> Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]:
    metrics, cached = make_wsgi_app(registry), _CachedHealth(checks)

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/metrics":
                body: Iterable[bytes] = metrics(environ, start)
                return body
            case "/health/live":
                return _json(start, "200 OK", Alive())
            case "/health/ready":
                health = cached.get()
                healthy = health.status == "ok"
                return _json(start, "200 OK" if healthy else "503 Service Unavailable", health)
        start("404 Not Found", [("Content-Type", "text/plain")])
        return [b"/metrics, /health/live and /health/ready are here\n"]

    return answer


def _json(start: StartResponse, status: str, body: Alive | Health) -> Iterable[bytes]:
    start(status, [("Content-Type", "application/json")])
    return [msgspec.json.encode(body)]
