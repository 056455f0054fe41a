"""What is counted: requests, answers that go on and trainings of an account, and failed sign-ins
from an address."""

import ipaddress
import math
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send
from sqlalchemy import text

from api.backend import Backend
from api.http.parameters import HttpRequest
from application.access.access import Caller
from domain.errors import SignInRefused, TooMany, TooManyFailures, Unauthenticated
from projections.training.library_queries import positions_of_unfinished
from projections.training.models_library import MODELS_LIBRARY

Connection = ASGIConnection[Any, Any, Any, Any]

WINDOW_SECONDS = 60.0
COUNTED = 10_000
"""Accounts or addresses that are counted; who has not asked for longest is forgotten first."""

IPV6_PREFIX = 64
"""Bits of an IPv6 address that are one client's: it may choose the others as it likes."""

STREAM_RETRY_SECONDS = 5
_HOLD = "hold_open"

_ONE_AT_A_TIME = text("SELECT pg_advisory_xact_lock(hashtextextended(:account, 7363))")


class Buckets:
    """A bucket for each of many that fills up again within a minute (a token bucket).

    Of one process: several that serve the same log allow as many times the limit.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._changing = threading.Lock()

    def take(self, of: str, count: int = 1) -> int:
        """Take from a bucket; the seconds until it could be if there is not so much in it, or 0.

        A `count` of 0 takes nothing, and asks whether there is anything.
        """
        if not self.limit:
            return 0
        now, each = time.monotonic(), WINDOW_SECONDS / self.limit
        with self._changing:
            left, at = self._left.pop(of, (float(self.limit), now))
            left = min(left + (now - at) / each, self.limit)
            allowed = left >= 1
            self._left[of] = (left - count if allowed else left, now)
            while len(self._left) > COUNTED:
                self._left.popitem(last=False)
        return 0 if allowed else math.ceil((1 - left) * each)


class Rate:
    """Requests of one account."""

    def __init__(self, limit: int) -> None:
        self._buckets = Buckets(limit)

    def take(self, account_id: str) -> None:
        """Count a request. Raises `TooMany` where there were too many."""
        if wait := self._buckets.take(account_id):
            raise TooMany(
                f"more than {self._buckets.limit} requests a minute: ask less often",
                retry_after=wait,
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


class Failures:
    """Keys and sign-ins from one address that came to nothing.

    What is right is let in however often others at that address were wrong.
    """

    def __init__(self, limit: int) -> None:
        self._buckets = Buckets(limit)

    @contextmanager
    def counting(self, connection: Connection) -> Iterator[None]:
        """Count what is refused within. Raises `TooManyFailures` instead, after too many."""
        try:
            yield
        except (Unauthenticated, SignInRefused) as error:
            if wait := self._buckets.take(client_of(connection)):
                raise self._too_many(wait) from error
            raise

    def refuse_more(self, connection: Connection) -> None:
        """Raise `TooManyFailures` after too many: for what costs others something to look at."""
        if wait := self._buckets.take(client_of(connection), 0):
            raise self._too_many(wait)

    def _too_many(self, wait: int) -> TooManyFailures:
        return TooManyFailures(
            f"more than {self._buckets.limit} sign-ins a minute from your address came to nothing:"
            " wait, or use a key that is right",
            retry_after=wait,
        )


def client_of(connection: Connection) -> str:
    """The address that a request is from, or its network where one client has all of that."""
    host = connection.client.host if connection.client else ""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.version == 4:
        return host
    mapped = address.ipv4_mapped
    return str(mapped or ipaddress.ip_network((int(address), IPV6_PREFIX), strict=False))


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
            backend.wait_for(backend.store.head(), MODELS_LIBRARY)
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
