"""Authentication and authorization of requests.

Routes declare what they need (`api/access/rights.py`); it is checked here for all of them.
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
from api.caller_proof import CallerChanged, Proof
from application.access.access import Caller
from application.log.store import LogUnreachable
from domain.access.roles import RIGHTS, Right
from domain.errors import Forbidden, Hidden, NotFound, Unauthenticated
from domain.event import StreamName

Connection = ASGIConnection[Any, Any, Any, Any]

SCHEME = "Bearer"
_REFUSED = "refused"
WAITED = "waited"
PROVEN_BY = "proven by"
"""The key of a request's state with the `Proof` of its caller."""
HOW = (
    "send the header `Authorization: Bearer stemma_…` with your API key; an administrator issues"
    " one with `stemma keys issue`"
)


class Authentication(AbstractAuthenticationMiddleware):
    """Sets `request.user` to the `Caller`; on a route that is open to all, to None.

    `known_caller` refuses unknown callers. An exception of a middleware would be handled outside
    the other middlewares, so its answer would be neither counted nor have a correlation id.
    """

    async def authenticate_request(self, connection: Connection) -> AuthenticationResult:
        """The caller and session of a request."""
        need: Need | None = connection.route_handler.opt.get(KEY)
        if need is None:
            return AuthenticationResult(None, None)
        is_query = connection.scope.get("method") in {HttpMethod.GET, HttpMethod.HEAD}
        if (need.only_appends or is_query) and (remembered := _remembered(connection)):
            caller, session, proof = remembered
            # A commit compares revisions, and knows nothing of sessions.
            if is_query or session is None or await _stands(connection, proof):
                connection.scope["state"][PROVEN_BY] = proof
                return AuthenticationResult(caller, session)
        try:
            caller, session = await asyncio.to_thread(who, connection)
        except Exception as refusal:  # raised by `known_caller`
            connection.scope["state"][_REFUSED] = refusal
            return AuthenticationResult(None, None)
        return AuthenticationResult(caller, session)


async def known_caller(connection: Connection) -> None:
    """The first guard. Raises what `who` did, such as `Unauthenticated`."""
    refusal: Exception | None = connection.scope["state"].get(_REFUSED)
    if refusal is not None:
        raise refusal


def who(connection: Connection) -> tuple[Caller, Session | None]:
    """The caller by its key, else by its session: a key takes precedence over a session."""
    backend: Backend = connection.app.state.backend
    header = connection.headers.get("Authorization")
    if header is not None:
        scheme, _, key = header.partition(" ")
        if scheme.casefold() == SCHEME.casefold():
            failures: Failures = connection.app.state.failures
            with failures.counting(connection):
                return backend.access.by_key(key.strip()), None
    return by_cookie(connection)


def _remembered(connection: Connection) -> tuple[Caller, Session | None, Proof] | None:
    """What `who` finds, as far as it was read before, and what it then has to be compared with."""
    backend: Backend = connection.app.state.backend
    scheme, _, key = connection.headers.get("Authorization", "").partition(" ")
    if scheme.casefold() == SCHEME.casefold():
        of_key = backend.access.remembered(key.strip())
        return None if of_key is None else (of_key[0], None, Proof(of_key[1]))
    token = connection.cookies.get(cookie_name(connection))
    session = backend.sessions.remembered(token) if token else None
    if session is None:
        return None
    found = backend.access.remembered_session(
        session.account_id, session.key_id, session.key_revision
    )
    return None if found is None else (found[0], session, Proof(found[1], session.digest))


async def _stands(connection: Connection, proof: Proof) -> bool:
    """Compare a proof. False if the caller has changed, or the log does not answer: then `who` asks
    again, and says so."""
    backend: Backend = connection.app.state.backend
    try:
        await asyncio.to_thread(backend.store.compare, proof)
    except (CallerChanged, *LogUnreachable):
        return False
    return True


async def authenticate_again(connection: Connection) -> None:
    """Read the caller of a request again, for the guards and the handler to run again."""
    state = connection.scope["state"]
    state.pop(PROVEN_BY, None)
    try:
        caller, session = await asyncio.to_thread(who, connection)
    except Exception as refusal:  # raised by `known_caller`
        state[_REFUSED] = refusal
    else:
        connection.scope["user"], connection.scope["auth"] = caller, session


def by_cookie(connection: Connection) -> tuple[Caller, Session]:
    """The caller and session of a browser's cookie. Raises `Unauthenticated`."""
    backend: Backend = connection.app.state.backend
    token = connection.cookies.get(cookie_name(connection))
    session = backend.sessions.find(token) if token else None
    if session is None:
        raise Unauthenticated(f"not signed in: {HOW}")
    if session.key_id is None:
        return backend.access.by_account(session.account_id), session
    return backend.access.by_session(session.key_id, session.key_revision), session


async def who_still(connection: Connection) -> Caller | None:
    """The present caller of a streamed answer; None once its key or session is invalid.

    What is answered from then on rests on that, and no longer on who was known at the beginning.
    """
    proof: Proof | None = connection.scope["state"].get(PROVEN_BY)
    if proof is not None:
        proof.holds = True
    try:
        return (await asyncio.to_thread(who, connection))[0]
    except Unauthenticated:
        return None


def has_waited(connection: Connection) -> bool:
    """Whether the handler runs for the second time, after a wait."""
    return WAITED in connection.scope["state"]


async def guard(connection: Connection, handler: BaseRouteHandler) -> None:
    """Check the right that a route needs. Raises `Forbidden`, or `Hidden` in projects of others."""
    need: Need | None = handler.opt.get(KEY)
    # Litestar answers OPTIONS itself, with a path's methods, and authenticates nobody for it.
    if need is None or connection.scope.get("method") == HttpMethod.OPTIONS:
        return
    if not has_waited(connection):
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
        if backend.scopes.is_known(stream):
            demand(backend, caller, need.right, stream)
        else:
            await asyncio.to_thread(demand, backend, caller, need.right, stream)
    elif need.anywhere:
        if not caller.grants.may_somewhere(need.right):
            raise _lacking(need.right, "any project")
    else:
        demand_everywhere(caller, need.right)


def demand(
    backend: Backend, caller: Caller, right: Right, *streams: str, field: str | None = None
) -> None:
    """Require a right in the projects of these streams; `field` is the request's field of them.

    Raises `Hidden` where the caller has no role at all, which looks exactly like the `NotFound`
    of a missing stream, and `Forbidden` where its roles do not carry the right.
    """
    projects = backend.scopes.projects_of(streams)
    for stream, project in projects.items():
        detail = f"{StreamName.parse(stream).kind} not found"
        if project is None:
            raise NotFound(detail, field=field)
        if not caller.grants.may(Right.READ, project):
            raise Hidden(detail, field=field)
    for project in projects.values():
        if not caller.grants.may(right, project):
            raise _lacking(right, "this project")


def demand_everywhere(caller: Caller, right: Right) -> None:
    """Require a right in all projects. Raises `Forbidden`."""
    if not caller.grants.may(right):
        raise _lacking(right, "all projects")


def _lacking(right: Right, where: str) -> Forbidden:
    roles = ", ".join(role for role in RIGHTS if right in RIGHTS[role])
    return Forbidden(
        f"you lack the right {right} in {where}: ask an administrator for a role with this right"
        f" ({roles}), or use a key that is not limited to fewer rights",
        reason=f"lacks the right {right}",
    )


def refuse_unguarded(app: Litestar) -> None:
    """Raise for a route that does not declare what it needs: it would be open to all, or to
    none."""
    unguarded = sorted(f"{', '.join(methods)} {path}" for path, methods in _unguarded(app))
    if unguarded:
        raise ImproperlyConfiguredException(f"these routes say no `opt=needs(…)`: {unguarded}")


def _unguarded(app: Litestar) -> list[tuple[str, Sequence[str]]]:
    unguarded: list[tuple[str, Sequence[str]]] = []
    for route in app.routes:
        handlers = route.route_handlers if isinstance(route, HTTPRoute) else [route.route_handler]
        for handler in handlers:
            methods = sorted(getattr(handler, "http_methods", {"ASGI"}))
            # Litestar's own answer to OPTIONS has the methods of a path and nothing else.
            if methods != [HttpMethod.OPTIONS] and KEY not in handler.opt:
                unguarded.append((route.path, methods))
    return unguarded
