"""Queries that wait for read models: without a thread or a connection, so many of an account.

A handler that finds a read model behind raises `Behind`. Its answer is held back until the read
model has advanced, and then the handler runs again.
"""

from typing import Any

from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from api import backend
from api.access.limits import hold_open
from api.backend import Backend, Behind
from api.http.problems import on_refusal
from api.pages.html import as_pages
from domain.errors import TooMany

_BEHIND = "behind"
_WAITED = "waited"

(_answer_refusal,) = as_pages({Behind: on_refusal}).values()


def on_behind(request: Request[Any, Any, Any], error: Behind) -> Response[Any]:
    """Note that the query waits, unless it has waited already, or the account waits too often."""
    state = request.scope["state"]
    if has_waited(request):
        return _answer_refusal(request, error)
    try:
        hold_open(request)
    except TooMany as refusal:
        return _answer_refusal(request, refusal)
    state[_BEHIND] = error
    return Response(None)


def has_waited(connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
    """Whether the handler runs for the second time, after a wait."""
    return _WAITED in connection.scope["state"]


class Waiting(ASGIMiddleware):
    """The innermost middleware: what it calls again is the guards and the handler."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        state = scope["state"]

        async def answer(message: Message) -> None:
            if _BEHIND not in state:
                await send(message)

        await next_app(scope, receive, answer)
        behind: Behind | None = state.pop(_BEHIND, None)
        if behind is None:
            return
        served: Backend = scope["litestar_app"].state.backend
        await served.news.reached(behind.position, behind.read_models, backend.WAIT_SECONDS)
        state[_WAITED] = True
        await next_app(scope, receive, send)
