"""Rate limits: requests and open streams of an account, and failed sign-ins from an address."""

import math
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from api.http.addresses import network_of
from api.http.parameters import HttpRequest
from domain.errors import SignInRefused, TooMany, TooManyFailures, Unauthenticated

Connection = ASGIConnection[Any, Any, Any, Any]

WINDOW_SECONDS = 60.0
COUNTED = 10_000
"""Accounts or addresses that are counted; the least recently used is forgotten first."""

STREAM_RETRY_SECONDS = 5
_HOLD = "hold_open"


class Buckets:
    """Token buckets by key; each is refilled within a minute.

    They belong to one process: several processes together allow a multiple of the limit.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._changing = threading.Lock()

    def take(self, of: str, count: int = 1) -> int:
        """Take from a bucket; 0, or the seconds to wait if the bucket is empty.

        A `count` of 0 takes nothing and only checks the bucket.
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
    """The limit of requests of an account."""

    def __init__(self, limit: int) -> None:
        self._buckets = Buckets(limit)

    def take(self, account_id: str) -> None:
        """Count a request. Raises `TooMany` above the limit."""
        if wait := self._buckets.take(account_id):
            raise TooMany(
                f"more than {self._buckets.limit} requests per minute: send fewer",
                retry_after=wait,
            )


class OpenStreams:
    """Open streams and long polls by account: of one process, and for its event loop only."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: Counter[str] = Counter()

    @contextmanager
    def counted(self, account_id: str) -> Iterator[None]:
        """Raises `TooMany` above the limit."""
        if self._limit and self._open[account_id] >= self._limit:
            raise TooMany(
                f"{self._limit} of your streams and long polls are open, which is the limit:"
                " close one, or ask your operator to raise STEMMA_STREAMS",
                retry_after=STREAM_RETRY_SECONDS,
            )
        self._open[account_id] += 1
        try:
            yield
        finally:
            self._open[account_id] -= 1
            if not self._open[account_id]:
                del self._open[account_id]


class Streams(ASGIMiddleware):
    """Counts what `hold_open` has, until it is over: only a middleware always learns of that."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        streams: OpenStreams = scope["litestar_app"].state.streams
        with ExitStack() as held:
            scope["state"][_HOLD] = lambda account_id: held.enter_context(
                streams.counted(account_id)
            )
            await next_app(scope, receive, send)


def hold_open(request: HttpRequest) -> None:
    """Count a streamed answer until it is over. Raises `TooMany` above the limit."""
    request.scope["state"][_HOLD](request.user.account_id)


class Failures:
    """The limit of failed keys and sign-ins from an address.

    A valid key is accepted however many failures its address has.
    """

    def __init__(self, limit: int) -> None:
        self._buckets = Buckets(limit)

    @contextmanager
    def counting(self, connection: Connection) -> Iterator[None]:
        """Count a refusal within the block. Above the limit it is replaced by `TooManyFailures`."""
        try:
            yield
        except (Unauthenticated, SignInRefused) as error:
            if wait := self._buckets.take(client_of(connection)):
                raise self._too_many(wait) from error
            raise

    def refuse_more(self, connection: Connection) -> None:
        """Raise `TooManyFailures` above the limit, for checks that cost a third party work."""
        if wait := self._buckets.take(client_of(connection), 0):
            raise self._too_many(wait)

    def _too_many(self, wait: int) -> TooManyFailures:
        return TooManyFailures(
            f"more than {self._buckets.limit} sign-ins per minute from your address failed: wait,"
            " or use a valid key",
            retry_after=wait,
        )


def client_of(connection: Connection) -> str:
    """The address of a request's client, or its network where one client has all of it."""
    return network_of(connection.client.host if connection.client else "")
