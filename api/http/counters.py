"""Counters of the requests that this process has answered, for `GET /metrics`."""

from litestar.types import RouteHandlerType
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

_OUTCOMES = {
    401: "denied",
    403: "denied",
    404: "not_found",
    409: "conflict",
    410: "gone",
    412: "stale",
    413: "too_large",
    422: "invalid",
    429: "too_many",
}


class Metrics:
    """The counters of an application since its start."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = Counter(
            "stemma_http_requests",
            "Answered requests, by the template of their route",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "stemma_http_request_seconds",
            "Seconds until the answer started",
            ["method", "route"],
            registry=self.registry,
        )
        self._commands = Counter(
            "stemma_commands",
            "Commands by operation and outcome",
            ["command", "outcome"],
            registry=self.registry,
        )

    def answered(
        self, method: str, route: str, status: int, seconds: float, handler: RouteHandlerType
    ) -> None:
        """Count a request; `status` 0 means that the caller disconnected before the answer."""
        self._requests.labels(method, route, str(status)).inc()
        if status:
            self._seconds.labels(method, route).observe(seconds)
        if route.startswith("/api/") and method not in {"GET", "HEAD", "OPTIONS"}:
            self._commands.labels(handler.handler_name, outcome_of(status)).inc()


def outcome_of(status: int) -> str:
    """The outcome of a command by its answer's status: ok, a kind of refusal, error, or aborted."""
    if status == 0:
        return "aborted"
    if status >= 500:
        return "error"
    return _OUTCOMES.get(status, "refused") if status >= 400 else "ok"
