"""Host check and security headers of all requests and answers.

They wrap the framework's own routing, so that every answer has the headers.
"""

from collections.abc import Collection
from functools import cache
from urllib.parse import urlsplit

import msgspec
from litestar.datastructures import Headers
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api.http.problem_types import MISDIRECTED
from api.http.problems import MEDIA_TYPE, Problem

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        # Plotly and uPlot style their charts inline.
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
_OVER_TLS = {"Strict-Transport-Security": "max-age=31536000"}
_PRIVATE = "private, no-cache"
"""Only the caller's browser may cache the answer, and it must revalidate it each time."""

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
HEALTH, STATIC = "/health/", "/static/"


def _is_static(path: str) -> bool:
    return path.startswith(STATIC)


@cache
def _added(*, over_tls: bool, private: bool) -> tuple[tuple[bytes, bytes], ...]:
    """The headers of an answer that does not set them itself, as they are sent."""
    headers = _HEADERS | (_OVER_TLS if over_tls else {})
    headers |= {"Cache-Control": _PRIVATE} if private else {}
    return tuple((name.lower().encode(), value.encode()) for name, value in headers.items())


def own_hosts(configured: Collection[str]) -> Collection[str]:
    """The names of this server: those configured, where `*` stands for any, and loopback's."""
    return LOOPBACK | {host.casefold() for host in configured}


class SecurityHeaders:
    """Refuses requests for other hosts, and adds the headers that an answer does not set itself.

    The host check prevents DNS rebinding. `hosts` of the application's state are the server's own.
    Health routes accept every host: probes use the IP address.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            return await self._app(scope, receive, send)
        added = _added(over_tls=scope["scheme"] == "https", private=not _is_static(scope["path"]))

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                there = {name.lower() for name, _ in headers}
                headers += [header for header in added if header[0] not in there]
                message["headers"] = headers
            await send(message)

        host = Headers.from_scope(scope).get("host", "")
        hosts: Collection[str] = scope["litestar_app"].state.hosts
        if not _is_ours(host, hosts) and not scope["path"].startswith(HEALTH):
            return await _refuse(host, answer)
        return await self._app(scope, receive, answer)


def _is_ours(host: str, hosts: Collection[str]) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return "*" in hosts or name.casefold() in hosts


async def _refuse(host: str, send: Send) -> None:
    detail = (
        f"{host!r} is not a name of this server: use another address, or ask its operator to add"
        " it to STEMMA_API_HOSTS"
    )
    kind = MISDIRECTED
    body = msgspec.json.encode(Problem(kind.title, kind.status.value, detail, kind.uri))
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 421, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
