"""The log line, span, and metrics of every request, under its correlation id."""

import logging
import time
import uuid
from typing import NamedTuple

from litestar import Request
from litestar.datastructures import Headers
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from adapters.observability import logs, tracing
from api.http import api_version
from api.http.counters import Metrics
from domain.trace_context import parse_traceparent

HEADER = "Correlation-Id"
LONGEST = 200

_CORRELATION = HEADER.lower().encode()
_VERSION = api_version.HEADER.lower().encode(), api_version.API_VERSION.encode()
_OWN = {_CORRELATION, _VERSION[0]}

log = logging.getLogger(__name__)


class Correlation(NamedTuple):
    """The id of all that a request causes, and the span that the request was sent in."""

    id: str
    parent: str | None


def correlation_of(headers: Headers) -> Correlation:
    """The caller's correlation id, else its trace id, else its command id, else a new id."""
    header, caller = headers.get(HEADER), parse_traceparent(headers.get("traceparent", ""))
    if header is not None and is_id(header):
        return Correlation(header, None)
    if caller is not None:
        return Correlation(caller.trace_id, caller.span_id)
    key = headers.get("Idempotency-Key")
    return Correlation(key if key and is_id(key) else str(uuid.uuid4()), None)


def is_id(text: str) -> bool:
    return 1 <= len(text) <= LONGEST and text.isprintable()


class RequestLog(ASGIMiddleware):
    """The outermost middleware, so that it includes refusals."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        correlation = correlation_of(Headers.from_scope(scope))
        scope["state"]["correlation_id"] = correlation.id
        method, route = Request(scope).method, scope["path_template"]
        began = time.perf_counter()
        status, seconds = 0, 0.0

        async def answer(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status, seconds = message["status"], time.perf_counter() - began
                message["headers"] = [
                    *(each for each in message.get("headers", ()) if each[0].lower() not in _OWN),
                    (_CORRELATION, correlation.id.encode("latin-1", "replace")),
                    _VERSION,
                ]
                tracing.describe(**{"http.response.status_code": status})
            await send(message)

        with (
            logs.about(correlation.id),
            tracing.span(
                f"{method} {route}",
                correlation.id,
                parent=correlation.parent,
                kind="server",
                attributes={"http.request.method": method, "http.route": route},
            ),
        ):
            try:
                await next_app(scope, receive, answer)
            finally:
                metrics: Metrics = scope["litestar_app"].state.metrics
                metrics.answered(method, route, status, seconds, scope["route_handler"])
                log.log(
                    _level(method, status), "%s %s: %d in %.3f s", method, route, status, seconds
                )


def _level(method: str, status: int) -> int:
    """Commands are logged at INFO, reads at DEBUG."""
    if status >= 500:
        return logging.WARNING
    return logging.DEBUG if method in {"GET", "HEAD", "OPTIONS"} else logging.INFO
