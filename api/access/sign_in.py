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
from adapters.access.sign_in_codes import CodeOwner
from api.access.guard import by_cookie
from api.access.limits import Failures
from api.access.rights import ACCOUNT, OPEN
from api.access.session_cookies import cookie_name, refuse_other_origins, session_cookie
from api.backend import Backend
from api.http.parameters import HttpRequest, Served
from api.http.schemas import Strict
from api.pages.html import Page, render
from application.access.access import Caller
from domain.errors import Conflict, Forbidden, Invalid, Unauthenticated

LARGEST_SIGN_IN = 10_000
"""Bytes of a sign-in request, which needs no account; longer ones are refused."""

Next = Annotated[str, QueryParameter(name="next", description="A path of this server")]


class NewSession(Strict, frozen=True, kw_only=True):
    """The key or the code to sign in with. `replace` ends another account's session in this
    browser, which is otherwise a conflict."""

    key: str | None = None
    code: str | None = None
    replace: bool = False


class SignInCode(msgspec.Struct, frozen=True):
    """A code that signs one browser in, once, and when it expires."""

    code: str
    until: datetime


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
    def begin_session(
        self, backend: Served, request: HttpRequest, data: JSONBody[NewSession]
    ) -> Response[SignedIn]:
        """Sign in with a key, or with a code. The answer's cookie has the rights of the key until
        the key is rotated or revoked, for at most 7 days, and for at most 12 hours without a
        request."""
        refuse_other_origins(request)
        failures: Failures = request.app.state.failures
        with failures.counting(request):
            caller, revision = _identified(backend, data)
            _refuse_silent_replacement(request, caller, replace=data.replace)
            if data.code is not None and not backend.sign_in_codes.use(data.code):
                raise _unknown_code()
        if replaced := request.cookies.get(cookie_name(request)):
            backend.sessions.end(replaced)
        token = backend.sessions.begin(caller.account_id, caller.key_id, revision)
        return Response(
            SignedIn(caller.actor, datetime.now(UTC) + LONGEST),
            cookies=[session_cookie(request, token)],
            headers={"Cache-Control": "no-store"},
        )

    @post(
        "/codes", summary="Issue a sign-in code", status_code=201, sync_to_thread=True, opt=ACCOUNT
    )
    def issue_sign_in_code(self, backend: Served, request: HttpRequest) -> Response[SignInCode]:
        """A code that signs a browser in with the key of this call: once, within 5 minutes."""
        if request.auth is not None:
            raise Forbidden(
                "a browser session cannot issue codes: call this with your API key, or sign in"
                " with the key in the other browser",
                reason="sign-in code for a session",
            )
        key = request.headers["Authorization"].partition(" ")[2].strip()
        caller, revision = backend.access.sign_in(key)
        code, until = backend.sign_in_codes.issue(CodeOwner(str(caller.key_id), revision))
        return Response(SignInCode(code, until), headers={"Cache-Control": "no-store"})

    @delete("/current", summary="Sign out", status_code=200, sync_to_thread=True, opt=ACCOUNT)
    def end_session(self, backend: Served, request: HttpRequest) -> Response[None]:
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


def _identified(backend: Backend, data: NewSession) -> tuple[Caller, int]:
    """Who signs in, and the revision of the key that the session is bound to. A code stays valid.

    Raises `Unauthenticated`, and `Invalid` for both or neither of a key and a code.
    """
    match data.key, data.code:
        case str(key), None:
            return backend.access.sign_in(key.strip())
        case None, str(code):
            owner = backend.sign_in_codes.find(code)
            if owner is None:
                raise _unknown_code()
            return backend.access.by_session(owner.key_id, owner.key_revision), owner.key_revision
    raise Invalid("sign in with either a key or a code, not both", field="key")


def _unknown_code() -> Unauthenticated:
    return Unauthenticated(
        "this sign-in code is unknown, already used, or expired: `stemma login` prints an address"
        " with a new one",
        reason="unknown sign-in code",
    )


def _refuse_silent_replacement(request: HttpRequest, caller: Caller, *, replace: bool) -> None:
    """Raise `Conflict` if the browser is signed in as another account.

    A link of somebody else could otherwise make its user work under that person's account.
    """
    if replace or not request.cookies.get(cookie_name(request)):
        return
    try:
        present = by_cookie(request)[0]
    except Unauthenticated:
        return
    if present.account_id != caller.account_id:
        raise Conflict(
            f"this browser is signed in as {present.actor}: replace that session to sign in as"
            f" {caller.actor}",
            field="replace",
        )


def safe_next(path: str) -> str:
    """A path of this server unchanged, and `/` for any other address."""
    parts = urlsplit(path)
    plain = path.startswith("/") and not path.startswith("//") and path.isprintable()
    return path if plain and "\\" not in path and not (parts.scheme or parts.netloc) else "/"
