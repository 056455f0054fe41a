"""Queries that wait for read models: without a thread or a connection, so many of an account.

A handler that finds a read model behind raises `Behind`. Its answer is held back until the read
model has advanced, and then the handler runs again. The same holds for what the caller has just
written and does not name; if the read model does not get there, what is there is answered.

A handler runs again, too, if the caller's key or account has changed since it was read: see
`api/caller_proof.py`.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from litestar import Request, Response
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from litestar.utils.scope.state import ScopeState

from api import backend
from api.access.guard import PROVEN_BY, WAITED, authenticate_again, has_waited
from api.access.limits import hold_open
from api.backend import Backend, Behind, BehindOwnWrite
from api.caller_proof import PROOF, CallerChanged, Proof
from api.http.problems import on_refusal
from api.own_writes import REMEMBERED_SECONDS, SEEN_FROM
from api.pages.html import as_pages
from application.access.access import Caller
from application.log.store import LogUnreachable
from domain.errors import TooMany
from projections.engine.read_model import ReadModel

SHORTLY_SECONDS = 0.03
"""A query waits so long, without being counted, for what its route was behind in before."""

LONGEST_POSITION = 18

_BEHIND = "behind"
_CHANGED = "caller changed"
_LOST = "log lost"

(_answer_refusal,) = as_pages({Behind: on_refusal}).values()


def on_behind(request: Request[Any, Any, Any], error: Behind) -> Response[Any]:
    """Note that the query waits, unless it has waited already, or the account waits too often."""
    state = request.scope["state"]
    if has_waited(request):
        return _answer_refusal(request, error)
    state[_BEHIND] = error
    try:
        hold_open(request)
    except TooMany as refusal:
        if not isinstance(error, BehindOwnWrite):
            del state[_BEHIND]
            return _answer_refusal(request, refusal)
        state[WAITED] = True
    return Response(None)


def on_caller_changed(request: Request[Any, Any, Any], _: CallerChanged) -> Response[Any]:
    """Note that the request has to begin again."""
    request.scope["state"][_CHANGED] = True
    return Response(None)


class Waiting(ASGIMiddleware):
    """The innermost middleware: what it calls again is the guards and the handler."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        state = scope["state"]
        served: Backend = scope["litestar_app"].state.backend
        caller: Caller | None = scope.get("user")
        if caller is not None and scope.get("method") == "GET":
            SEEN_FROM.set(served.own_writes.last(caller.actor))
            await self._await_shortly(scope, served, own=SEEN_FROM.get())
        proof: Proof | None = state.get(PROVEN_BY)
        PROOF.set(proof)

        async def answer(message: Message) -> None:
            # What a stream goes on to read is not waited for.
            SEEN_FROM.set(0)
            held = _BEHIND in state or _CHANGED in state or _LOST in state
            if not held and proof is not None and not proof.holds:
                try:
                    await asyncio.to_thread(served.store.compare, proof)
                except CallerChanged:
                    state[_CHANGED] = held = True
                except LogUnreachable as error:
                    state[_LOST] = error
                    held = True
            if not held:
                await send(message)

        await next_app(scope, receive, answer)
        behind: Behind | None = state.pop(_BEHIND, None)
        if behind is not None:
            _behind_in(scope)[scope["path_template"]] = behind.read_models
        if behind is not None and _CHANGED not in state:
            if not has_waited(Request(scope)):
                own = isinstance(behind, BehindOwnWrite)
                waits = REMEMBERED_SECONDS if own else backend.WAIT_SECONDS
                there = await served.news.reached(behind.position, behind.read_models, waits)
                if not there and caller is not None:
                    served.own_writes.forget(caller.actor)
            state[WAITED] = True
            await next_app(scope, receive, answer)
        # Of an answer that was held back nothing was sent.
        if (lost := state.pop(_LOST, None)) is not None:
            ScopeState.from_scope(scope).response_started = False
            raise lost
        if state.pop(_CHANGED, False):
            await authenticate_again(Request(scope))
            ScopeState.from_scope(scope).response_started = False
            await self.handle(scope, receive, send, next_app)

    async def _await_shortly(self, scope: Scope, served: Backend, *, own: int) -> None:
        """Wait for what the query will most probably be behind in, which saves running it twice."""
        at_least = Request[Any, Any, Any](scope).query_params.get("at_least", "")
        position = (
            int(at_least) if at_least.isdecimal() and len(at_least) <= LONGEST_POSITION else own
        )
        read_models = _behind_in(scope).get(scope["path_template"])
        if (
            read_models is not None
            and 0 < position <= served.store.known_head
            and not served.news.has_reached(position, read_models)
        ):
            await served.news.reached(position, read_models, SHORTLY_SECONDS)


def _behind_in(scope: Scope) -> dict[str, Sequence[ReadModel]]:
    """What the queries of a route were behind in before, by its path."""
    known: dict[str, Sequence[ReadModel]] = scope["litestar_app"].state.behind_in
    return known
