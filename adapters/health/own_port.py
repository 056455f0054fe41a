"""What a process that is not the API says of itself, on the port `STEMMA_METRICS_PORT`.

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

from adapters.health.conditions import Alive, Health, PartHealth, all_in_all
from adapters.settings import Settings, SettingsError

FRESH_SECONDS = 1.0
"""One look answers all who ask within so long."""

_REQUEST_SECONDS = 5.0

log = logging.getLogger(__name__)

Checks = Callable[[], Mapping[str, PartHealth]]
"""Looks at what the process does, and at the servers that it cannot do it without."""


class _Server(ThreadingWSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = _REQUEST_SECONDS

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Probes and scrapes are no news."""


def own_registry() -> CollectorRegistry:
    """What Prometheus knows of every process: memory, CPU, open files."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return registry


@contextmanager
def own_port(settings: Settings, registry: CollectorRegistry, checks: Checks) -> Iterator[None]:
    """Answer while this lasts, where a port is set. Raises `SettingsError` if it cannot be had."""
    if not settings.metrics_port:
        yield
        return
    where = settings.metrics_host, settings.metrics_port
    try:
        server = make_server(*where, _answers(registry, checks), _Server, _Handler)
    except (OSError, OverflowError) as error:
        raise SettingsError(
            f"STEMMA_METRICS_PORT {settings.metrics_port} cannot be listened on at"
            f" STEMMA_METRICS_HOST {settings.metrics_host}: {error}; give each process a port of"
            " its own"
        ) from error
    serve = partial(server.serve_forever, poll_interval=0.1)
    thread = threading.Thread(target=serve, name="own port", daemon=True)
    thread.start()
    log.info("metrics and health are at http://%s:%d", *where)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Looks:
    """The checks, made at most once a second however many ask."""

    def __init__(self, checks: Checks) -> None:
        self._checks = checks
        self._looking = threading.Lock()
        self._last: Health | None = None
        self._looked_at = 0.0

    def look(self) -> Health:
        with self._looking:
            if self._last is None or time.monotonic() - self._looked_at > FRESH_SECONDS:
                self._last = all_in_all(self._checks())
                self._looked_at = time.monotonic()
            return self._last


def _answers(
    registry: CollectorRegistry, checks: Checks
) -> Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]:
    metrics, looks = make_wsgi_app(registry), _Looks(checks)

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/metrics":
                found: Iterable[bytes] = metrics(environ, start)
                return found
            case "/health/live":
                return _json(start, "200 OK", Alive())
            case "/health/ready":
                health = looks.look()
                well = health.status == "ok"
                return _json(start, "200 OK" if well else "503 Service Unavailable", health)
        start("404 Not Found", [("Content-Type", "text/plain")])
        return [b"/metrics, /health/live and /health/ready are here\n"]

    return answer


def _json(start: StartResponse, status: str, said: Alive | Health) -> Iterable[bytes]:
    start(status, [("Content-Type", "application/json")])
    return [msgspec.json.encode(said)]
