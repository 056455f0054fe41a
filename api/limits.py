"""What one account may do at once: requests a minute, answers that go on, and trainings."""

import math
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send
from sqlalchemy import text

from api.backend import Backend
from api.parameters import HttpRequest
from application.access import Caller
from domain.errors import TooMany
from projections.library_queries import positions_of_unfinished

WINDOW_SECONDS = 60.0
ACCOUNTS = 10_000
"""Accounts that are counted; who has not asked for longest is forgotten first."""

STREAM_RETRY_SECONDS = 5
_HOLD = "hold_open"

_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended(:account, 7363))")


class Rate:
    """A bucket for each account that fills up again within a minute (a token bucket).

    Of one process: several that serve the same log allow as many times the limit.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._changing = threading.Lock()

    def take(self, account_id: str) -> None:
        """Count a request. Raises `TooMany` where the bucket is empty."""
        if not self._limit:
            return
        now, each = time.monotonic(), WINDOW_SECONDS / self._limit
        with self._changing:
            left, at = self._left.pop(account_id, (float(self._limit), now))
            left = min(left + (now - at) / each, self._limit)
            allowed = left >= 1
            self._left[account_id] = (left - 1 if allowed else left, now)
            while len(self._left) > ACCOUNTS:
                self._left.popitem(last=False)
        if not allowed:
            raise TooMany(
                f"more than {self._limit} requests a minute: ask less often",
                retry_after=math.ceil((1 - left) * each),
            )


class Streams(ASGIMiddleware):
    """Streams and long polls that are open, by account: counted by `hold_open`.

    A middleware, as only that learns for sure that an answer is over, however it ends. Of one
    process, whose loop alone comes here.
    """

    scopes = (ScopeType.HTTP,)

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: Counter[str] = Counter()

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        with ExitStack() as held:
            scope["state"][_HOLD] = lambda account_id: held.enter_context(self._one(account_id))
            await next_app(scope, receive, send)

    @contextmanager
    def _one(self, account_id: str) -> Iterator[None]:
        if self._limit and self._open[account_id] >= self._limit:
            raise TooMany(
                f"{self._limit} streams and long polls of yours are open, and no more may be at"
                " once: close one, or ask your operator to raise STEMMA_STREAMS",
                retry_after=STREAM_RETRY_SECONDS,
            )
        self._open[account_id] += 1
        try:
            yield
        finally:
            self._open[account_id] -= 1
            if not self._open[account_id]:
                del self._open[account_id]


def hold_open(request: HttpRequest) -> None:
    """Count an answer that goes on until it is over. Raises `TooMany` where too many do."""
    request.scope["state"][_HOLD](request.user.account_id)


@contextmanager
def counting_trainings(backend: Backend, caller: Caller) -> Iterator[Callable[[], None]]:
    """What raises `TooMany` where so many of the account's trainings wait or run already.

    To be called in the decision to train one more, so that a command that is repeated is not
    refused. Two of one account are decided one after the other: both are counted.
    """
    limit = backend.max_trainings
    if not limit:
        yield lambda: None
        return
    # Not the snapshot of a query: what another has begun while we waited is to be seen.
    with backend.committed.begin() as connection:
        connection.execute(_ONE_AT_A_TIME, {"account": caller.account_id})

        def refuse_more() -> None:
            backend.wait_for(backend.store.head())
            running = sum(
                recorded.metadata.actor == caller.actor
                for position in positions_of_unfinished(connection)
                for recorded in backend.store.read(position - 1, limit=1, upto=position)
            )
            if running >= limit:
                raise TooMany(
                    f"{running} of your trainings wait or run, and {limit} may at once: stop or"
                    " cancel one, or wait until one is over",
                    retry_after=60,
                )

        yield refuse_more
