"""Session cookies of browsers, and their protection against other sites (CSRF)."""

import hmac
from typing import Any
from urllib.parse import urlsplit

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie

from adapters.access.sessions import LONGEST, Session
from domain.errors import Forbidden

TOKEN_HEADER = "X-CSRF-Token"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

Connection = ASGIConnection[Any, Any, Any, Any]


def cookie_name(connection: Connection) -> str:
    """The cookie's name; over TLS no other host, path or plain connection can set it (RFC
    6265bis)."""
    return "__Host-stemma" if connection.url.scheme == "https" else "stemma_session"


def session_cookie(connection: Connection, token: str) -> Cookie:
    """A cookie that scripts cannot read and other sites' forms do not send; an empty token ends
    it."""
    return Cookie(
        key=cookie_name(connection),
        value=token,
        path="/",
        max_age=int(LONGEST.total_seconds()) if token else 0,
        secure=connection.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )


def refuse_other_sites(connection: Connection, session: Session) -> None:
    """Raise `Forbidden` for a change that no page of this server requests.

    A browser sends its cookie for requests of any site; the token is only in our pages.
    """
    if connection.scope["method"] in _SAFE:  # type: ignore[typeddict-item]
        return
    refuse_other_origins(connection)
    if not hmac.compare_digest(connection.headers.get(TOKEN_HEADER, ""), session.csrf):
        raise Forbidden(
            f"a change with a browser session needs the header {TOKEN_HEADER} of a page: load the"
            " page again",
            reason="no token of the page",
        )


def refuse_other_origins(connection: Connection) -> None:
    """Raise `Forbidden` where the browser reports that another site's page makes the request."""
    origin = connection.headers.get("Origin")
    if connection.headers.get("Sec-Fetch-Site", "same-origin") not in {"same-origin", "none"} or (
        origin is not None and urlsplit(origin).netloc != connection.headers.get("Host")
    ):
        raise Forbidden(
            "the request comes from another site: repeat it on a page of this server",
            reason="another site's request",
        )
