"""The doors: who a request is from, and whether its route lets them in.

Routes say what they need (`api/access/rights.py`); here it is asked for, once for all of them.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.enums import HttpMethod
from litestar.exceptions import ImproperlyConfiguredException
from litestar.handlers.base import BaseRouteHandler
from litestar.middleware.authentication import (
    AbstractAuthenticationMiddleware,
    AuthenticationResult,
)
from litestar.routes import HTTPRoute

from adapters.access.sessions import Session
from api.access.limits import Failures, Rate
from api.access.rights import KEY, Need
from api.access.session_cookies import cookie_name, refuse_other_sites
from api.backend import Backend
from application.access.access import Caller
from domain.access.roles import RIGHTS, Right
from domain.errors import Forbidden, Hidden, NotFound, TooManyFailures, Unauthenticated
from domain.event import StreamName

Connection = ASGIConnection[Any, Any, Any, Any]

SCHEME = "Bearer"
_REFUSED = "refused"
HOW = (
    "send the header `Authorization: Bearer stemma_…` with your API key; an administrator issues"
    " one with `stemma keys issue`"
)


class Authentication(AbstractAuthenticationMiddleware):
    """Sets `request.user` to the `Caller`, on a route that is open to all to nobody.

    Whom it does not know `known_caller` refuses: what a middleware raises is answered outside of
    those around it, and would be neither counted nor under a correlation id.
    """

    async def authenticate_request(self, connection: Connection) -> AuthenticationResult:
        """Whoever the request is from."""
        if connection.route_handler.opt.get(KEY) is None:
            return AuthenticationResult(None, None)
        try:
            caller, session = await asyncio.to_thread(who, connection)
        except (Unauthenticated, TooManyFailures) as refusal:
            connection.scope["state"][_REFUSED] = refusal
            return AuthenticationResult(None, None)
        return AuthenticationResult(caller, session)


async def known_caller(connection: Connection, _: BaseRouteHandler) -> None:
    """The guard before all others. Raises `Unauthenticated` or `TooManyFailures`."""
    refusal: Exception | None = connection.scope["state"].get(_REFUSED)
    if refusal is not None:
        raise refusal


def who(connection: Connection) -> tuple[Caller, Session | None]:
    """By key, or else by session: who sends both means the key."""
    backend: Backend = connection.app.state.backend
    header = connection.headers.get("Authorization")
    if header is not None:
        scheme, _, key = header.partition(" ")
        if scheme.casefold() == SCHEME.casefold():
            failures: Failures = connection.app.state.failures
            with failures.counting(connection):
                return backend.access.by_key(key.strip()), None
    token = connection.cookies.get(cookie_name(connection))
    session = backend.sessions.find(token) if token else None
    if session is None:
        raise Unauthenticated(f"nobody is signed in: {HOW}")
    if session.key_id is None:
        return backend.access.by_account(session.account_id), session
    return backend.access.by_session(session.key_id, session.key_revision), session


async def who_still(connection: Connection) -> Caller | None:
    """Who an answer that goes on is for, as of now; None once the key or session opens nothing."""
    try:
        return (await asyncio.to_thread(who, connection))[0]
    except Unauthenticated:
        return None


async def guard(connection: Connection, handler: BaseRouteHandler) -> None:
    """Let through who may. Raises `Forbidden`, or `Hidden` in projects of others."""
    need: Need | None = handler.opt.get(KEY)
    if need is None:
        return
    rate: Rate = connection.app.state.rate
    rate.take(connection.user.account_id)
    if connection.auth is not None:
        refuse_other_sites(connection, connection.auth)
    if need.right is None:
        return
    caller: Caller = connection.user
    if need.of is not None:
        kind = need.of.removesuffix("_id")
        stream = str(StreamName(kind, connection.path_params[need.of]))
        backend: Backend = connection.app.state.backend
        await asyncio.to_thread(demand, backend, caller, need.right, stream)
    elif need.anywhere:
        if not caller.grants.may_somewhere(need.right):
            raise _lacking(need.right, "any project")
    else:
        demand_everywhere(caller, need.right)


def demand(
    backend: Backend, caller: Caller, right: Right, *streams: str, field: str | None = None
) -> None:
    """Ask for a right in the projects of what is named, in the field of the request if one is.

    Raises `Hidden` where the caller has no role at all, which looks exactly like the `NotFound`
    of what is not there, and `Forbidden` where it has a role that does not carry the right.
    """
    projects = backend.scopes.projects_of(streams)
    for stream, project in projects.items():
        detail = f"there is no such {StreamName.parse(stream).kind}"
        if project is None:
            raise NotFound(detail, field=field)
        if not caller.grants.may(Right.READ, project):
            raise Hidden(detail, field=field)
    for project in projects.values():
        if not caller.grants.may(right, project):
            raise _lacking(right, "this project")


def demand_everywhere(caller: Caller, right: Right) -> None:
    """Raises `Forbidden`."""
    if not caller.grants.may(right):
        raise _lacking(right, "all projects")


def _lacking(right: Right, where: str) -> Forbidden:
    roles = ", ".join(role for role in RIGHTS if right in RIGHTS[role])
    return Forbidden(
        f"you lack the right {right} in {where}: ask an administrator for a role that carries it"
        f" ({roles}), or use a key that is not limited to less",
        reason=f"lacks the right {right}",
    )


def refuse_unguarded(app: Litestar) -> None:
    """Raise for a route that does not say what it needs: it would be open to all, or to none."""
    silent = sorted(f"{', '.join(methods)} {path}" for path, methods in _silent(app))
    if silent:
        raise ImproperlyConfiguredException(f"these routes say no `opt=needs(…)`: {silent}")


def _silent(app: Litestar) -> list[tuple[str, Sequence[str]]]:
    found: list[tuple[str, Sequence[str]]] = []
    for route in app.routes:
        held = route.route_handlers if isinstance(route, HTTPRoute) else [route.route_handler]
        for handler in held:
            methods = sorted(getattr(handler, "http_methods", {"ASGI"}))
            # Litestar's own answer to OPTIONS tells the methods of a path, and nothing else.
            if methods != [HttpMethod.OPTIONS] and KEY not in handler.opt:
                found.append((route.path, methods))
    return found
