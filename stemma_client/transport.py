"""Sending of requests, again where that is safe; the sync one and its async twin."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import httpx

from stemma_client import attempts, past
from stemma_client.attempts import Attempts, VersionNotice, content_of, decode, headers_of
from stemma_client.connections import Connections, authorities
from stemma_client.proxies import uses_proxy
from stemma_client.requests import Request, following
from stemma_client.settings import Server

T = TypeVar("T")

LEAST_SECONDS = 5.0
"""For an answer, however little patience is left."""


class Session:
    """What all requests of a client have in common.

    `position` is that of its newest write: queries show at least that. `as_of` is the past moment
    that they show instead. Once `is_running` is false, nothing is sent again.
    """

    def __init__(
        self,
        server: Server,
        *,
        correlation_id: str,
        timeout: float,
        patience: float,
        as_of: str | None = None,
        is_running: Callable[[], bool] = lambda: True,
    ) -> None:
        self.server = server
        self.correlation_id = correlation_id
        self.timeout = timeout
        self.patience = patience
        self.as_of = as_of
        self.is_running = is_running
        self.position = 0
        self.notice = VersionNotice()
        self._moving = threading.Lock()

    def at(self, moment: str) -> Session:
        """The same for a past moment."""
        return Session(
            self.server,
            correlation_id=self.correlation_id,
            timeout=self.timeout,
            patience=self.patience,
            as_of=moment,
            is_running=self.is_running,
        )

    def attempts(self, request: Request[Any], patience: float | None = None) -> Attempts:
        """The attempts at a request, for as long as the client is patient, or less."""
        return Attempts(request, self._patience(patience), self.is_running)

    def _patience(self, patience: float | None) -> float:
        return self.patience if patience is None else min(self.patience, patience)

    def options(self) -> dict[str, Any]:
        """The options of an httpx client."""
        return {
            "base_url": self.server.url,
            "headers": {"Authorization": f"Bearer {self.server.key}"} if self.server.key else {},
            "timeout": self.timeout,
            "trust_env": uses_proxy(self.server.url),
            "verify": authorities(self.server.url),
        }

    def prepared(
        self,
        request: Request[Any],
        *,
        key: str | None = None,
        if_match: int | None = None,
        cursor: str | None = None,
        patience: float | None = None,
    ) -> dict[str, Any]:
        """The arguments of httpx's `request`. Raises `ReadOnly` and `PresentOnly` in the past."""
        if self.as_of is not None:
            past.check(request, self.as_of)
        more: dict[str, Any] = {"cursor": cursor}
        if "as_of" in request.accepts and self.as_of is not None:
            more["as_of"] = self.as_of
        elif "at_least" in request.accepts and self.position:
            more["at_least"] = self.position
        content = content_of(request)
        headers = headers_of(request, key, if_match, self.correlation_id)
        return {
            "method": request.method,
            "url": request.path,
            "params": request.parameters(**more),
            **content,
            "headers": headers | content.get("headers", {}),
            "timeout": self._timeout(request, patience),
        }

    def _timeout(self, request: Request[Any], patience: float | None) -> httpx.Timeout:
        """The server may hold an answer for as long as it is asked to `wait`."""
        seconds = min(self.timeout, max(self._patience(patience), LEAST_SECONDS))
        held = request.query.get("wait") or 0.0
        return httpx.Timeout(seconds, read=seconds + float(held))

    def take(self, request: Request[T], response: httpx.Response) -> T:
        """The answer; a write's position is remembered."""
        self.notice.look_at(response.headers)
        answer = decode(request, response)
        if request.is_command:
            with self._moving:
                self.position = max(self.position, getattr(answer, "position", 0))
        return answer


class Transport:
    """Sends requests and waits for their answers. Safe to use from several threads."""

    def __init__(self, session: Session, connections: Connections | None = None) -> None:
        self.session = session
        self._connections = connections or Connections(session.options())

    def at(self, moment: str) -> Transport:
        """A transport over the same connections, with answers for a past moment."""
        return Transport(self.session.at(moment), self._connections)

    def close(self) -> None:
        """Close all connections."""
        self._connections.close()

    def send(
        self,
        request: Request[T],
        *,
        key: str | None = None,
        if_match: int | None = None,
        cursor: str | None = None,
        body: Callable[[], Iterator[bytes]] | None = None,
        patience: float | None = None,
    ) -> T:
        """The answer to a request; `body` makes the streamed body of each attempt.

        Raises `ApiError`, `Unreachable` and `NotStemma`.
        """
        prepared = self.session.prepared(
            request, key=key, if_match=if_match, cursor=cursor, patience=patience
        )
        tries = self.session.attempts(request, patience)
        while True:
            if body is not None:
                prepared["content"] = body()
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = self._connections.http.request(**prepared)
            except httpx.TransportError as error:
                outcome = error
            except httpx.DecodingError as error:
                raise attempts.undecodable(request, error) from error
            pause = tries.pause_after(outcome)
            if not pause and isinstance(outcome, httpx.Response):
                return self.session.take(request, outcome)
            time.sleep(pause)

    def pages(self, request: Request[T]) -> Iterator[T]:
        """Every page of a list."""
        cursor: str | None = None
        while True:
            page = self.send(request, cursor=cursor)
            yield page
            cursor = following(getattr(page, "next", None), cursor)
            if cursor is None:
                return

    @contextmanager
    def stream(self, request: Request[bytes], headers: dict[str, str]) -> Iterator[httpx.Response]:
        """An answer whose body is read piece by piece; what fails before it begins is sent again.

        Raises `httpx.TransportError` while it is read, `ApiError`, `Unreachable` and `NotStemma`.
        """
        prepared = self.session.prepared(request)
        prepared["headers"] |= headers
        tries = self.session.attempts(request)
        while True:
            with ExitStack() as opened:
                outcome: httpx.Response | httpx.TransportError
                try:
                    outcome = opened.enter_context(self._connections.http.stream(**prepared))
                    if not outcome.is_success:
                        outcome.read()
                except httpx.TransportError as error:
                    outcome = error
                except httpx.DecodingError as error:
                    raise attempts.undecodable(request, error) from error
                pause = tries.pause_after(outcome)
                if not pause and isinstance(outcome, httpx.Response):
                    attempts.check_sender(outcome)
                    yield outcome
                    return
            time.sleep(pause)


class AsyncTransport:
    """The same with asyncio."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._http = httpx.AsyncClient(**session.options())

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def send(
        self,
        request: Request[T],
        *,
        key: str | None = None,
        if_match: int | None = None,
        cursor: str | None = None,
        patience: float | None = None,
    ) -> T:
        """The answer to a request. Raises `ApiError`, `Unreachable` and `NotStemma`."""
        prepared = self.session.prepared(
            request, key=key, if_match=if_match, cursor=cursor, patience=patience
        )
        tries = self.session.attempts(request, patience)
        while True:
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = await self._http.request(**prepared)
            except httpx.TransportError as error:
                outcome = error
            except httpx.DecodingError as error:
                raise attempts.undecodable(request, error) from error
            pause = tries.pause_after(outcome)
            if not pause and isinstance(outcome, httpx.Response):
                return self.session.take(request, outcome)
            await asyncio.sleep(pause)

    async def pages(self, request: Request[T]) -> AsyncIterator[T]:
        """Every page of a list."""
        cursor: str | None = None
        while True:
            page = await self.send(request, cursor=cursor)
            yield page
            cursor = following(getattr(page, "next", None), cursor)
            if cursor is None:
                return
