"""Sign-in and sign-out of browsers: a key is entered once and a cookie replaces it."""

from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from litestar import Controller, Response, delete, get, post
from litestar.params import JSONBody, QueryParameter
from litestar.response import Template

from adapters.access.oidc import Provider
from adapters.access.sessions import LONGEST
from api.access.limits import Failures
from api.access.rights import ACCOUNT, OPEN
from api.access.session_cookies import cookie_name, refuse_other_origins, session_cookie
from api.http.parameters import HttpRequest, Served
from api.http.schemas import Strict
from api.pages.html import Page, render

LARGEST_SIGN_IN = 10_000
"""Bytes of a sign-in request, which needs no account; longer ones are refused."""

Next = Annotated[str, QueryParameter(name="next", description="A path here")]


class NewSession(Strict, frozen=True, kw_only=True):
    """The key to sign in with."""

    key: str


class SignedIn(msgspec.Struct, frozen=True):
    """The account that is signed in, and the latest end of its session."""

    actor: str
    until: datetime


class LoginPage(Page, frozen=True, kw_only=True):
    """The sign-in page; `next` is the path to open afterwards.

    `provider` is the label of the button for the organisation's sign-in, where there is one.
    """

    next: str
    provider: str | None


class SessionController(Controller):
    """Sessions of browsers."""

    path = "/sessions"
    tags = ("Access",)

    @post(
        summary="Sign in",
        status_code=201,
        sync_to_thread=True,
        request_max_body_size=LARGEST_SIGN_IN,
        opt=OPEN,
    )
    def begin(
        self, backend: Served, request: HttpRequest, data: JSONBody[NewSession]
    ) -> Response[SignedIn]:
        """Sign in with a key. The answer's cookie has the rights of the key until the key is
        rotated or revoked, for at most 7 days, and for at most 12 hours without a request."""
        refuse_other_origins(request)
        failures: Failures = request.app.state.failures
        with failures.counting(request):
            caller, revision = backend.access.sign_in(data.key.strip())
        token = backend.sessions.begin(caller.account_id, caller.key_id, revision)
        return Response(
            SignedIn(caller.actor, datetime.now(UTC) + LONGEST),
            cookies=[session_cookie(request, token)],
            headers={"Cache-Control": "no-store"},
        )

    @delete("/current", summary="Sign out", status_code=200, sync_to_thread=True, opt=ACCOUNT)
    def end(self, backend: Served, request: HttpRequest) -> Response[None]:
        """Ends the session of the request's cookie; the key stays valid."""
        token = request.cookies.get(cookie_name(request))
        if token:
            backend.sessions.end(token)
        return Response(None, cookies=[session_cookie(request, "")])


class LoginPages(Controller):
    """Signing in."""

    @get("/login", sync_to_thread=False, opt=OPEN)
    def login(self, request: HttpRequest, to: Next = "/") -> Template:
        provider: Provider | None = request.app.state.provider
        label = provider.label if provider else None
        return render("access/login.html", LoginPage(next=safe_next(to), provider=label))


def safe_next(path: str) -> str:
    """A path of this server unchanged, and `/` for any other address."""
    parts = urlsplit(path)
    plain = path.startswith("/") and not path.startswith("//") and path.isprintable()
    return path if plain and "\\" not in path and not (parts.scheme or parts.netloc) else "/"
