"""Sign-in with the organisation's identity provider (OpenID Connect)."""

from litestar import Controller, Response, get
from litestar.datastructures import Cookie
from litestar.response import Redirect, Template

from adapters.access.oidc import Provider
from adapters.access.sign_in_attempts import LASTS_SECONDS
from api.access.limits import Failures
from api.access.rights import OPEN
from api.access.session_cookies import session_cookie
from api.access.sign_in import Next, safe_next
from api.http.parameters import HttpRequest, Served
from api.http.problems import on_barred
from api.pages.html import HEADERS, ProblemPage, render
from application.access.sign_in import account_of
from domain.errors import Barred, NotFound, SignInRefused, TooManyFailures

CALLBACK = "/login/oidc/callback"
LONGEST_PATH = 1000


def on_sign_in_refused(request: HttpRequest, error: Barred) -> Template:
    """Record the refusal and answer with a page that links back to sign-in."""
    problem = on_barred(request, error)
    page = ProblemPage(problem=problem.content)
    response = render("access/sign_in_refused.html", page, problem.status_code or 403)
    response.headers |= problem.headers
    return response


class ProviderPages(Controller):
    """Sign-ins with an identity provider."""

    path = "/login/oidc"
    exception_handlers = dict.fromkeys((SignInRefused, TooManyFailures), on_sign_in_refused)

    @get(sync_to_thread=True, opt=OPEN)
    def begin(self, backend: Served, request: HttpRequest, to: Next = "/") -> Redirect:
        """Send the browser to the provider."""
        then = safe_next(to)
        if len(then) > LONGEST_PATH:
            then = "/"
        address, sealed = _provider(request).begin(backend.attempts, _callback(request), then)
        return Redirect(address, cookies=[_attempt_cookie(request, sealed)], headers=HEADERS)

    @get("/callback", sync_to_thread=True, opt=OPEN)
    def finish(self, backend: Served, request: HttpRequest) -> Response[None]:
        """Begin a session for the identity that the provider returns."""
        provider = _provider(request)
        sealed = request.cookies.get(_attempt_cookie(request, "").key, "")
        answer = {name: str(value) for name, value in request.query_params.items()}
        failures: Failures = request.app.state.failures
        # Each answer costs a request to the provider, so wrong ones are limited.
        failures.refuse_more(request)
        with failures.counting(request):
            identity, then = provider.finish(backend.attempts, sealed, answer, _callback(request))
            account_id = account_of(backend.store, identity, provider.terms)
        token = backend.sessions.begin(account_id)
        cookies = [session_cookie(request, token), _attempt_cookie(request, "")]
        return Redirect(then, status_code=303, cookies=cookies, headers=HEADERS)


def _provider(request: HttpRequest) -> Provider:
    provider: Provider | None = request.app.state.provider
    if provider is None:
        raise NotFound(
            "this server has no identity provider: sign in with a key, or ask the operator to set"
            " STEMMA_OIDC_ISSUER"
        )
    return provider


def _callback(request: HttpRequest) -> str:
    """The redirect URI, as registered with the provider."""
    return str(request.base_url).rstrip("/") + CALLBACK


def _attempt_cookie(request: HttpRequest, sealed: str) -> Cookie:
    """The cookie of a sign-in attempt at the provider. An empty text ends it."""
    secure = request.url.scheme == "https"
    return Cookie(
        key="__Host-stemma-sign-in" if secure else "stemma_sign_in",
        value=sealed,
        path="/",
        max_age=LASTS_SECONDS if sealed else 0,
        secure=secure,
        httponly=True,
        # The provider's answer is a link from another site: `strict` would leave the cookie out.
        samesite="lax",
    )
