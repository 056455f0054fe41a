"""Sending of requests, again where that is safe; the sync one and its async twin."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx

from stemma_client import attempts
from stemma_client.attempts import Attempts, VersionNotice, content_of, decode, headers_of
from stemma_client.errors import ReadOnly
from stemma_client.proxies import uses_proxy
from stemma_client.requests import Request
from stemma_client.settings import Server

T = TypeVar("T")


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

    def attempts(self, request: Request[Any]) -> Attempts:
        """The attempts at a request."""
        return Attempts(request, self.patience, self.is_running)

    def options(self) -> dict[str, Any]:
        """The options of an httpx client."""
        return {
            "base_url": self.server.url,
            "headers": {"Authorization": f"Bearer {self.server.key}"} if self.server.key else {},
            "timeout": self.timeout,
            "trust_env": uses_proxy(self.server.url),
        }

    def prepared(
        self, request: Request[Any], key: str | None, if_match: int | None, cursor: str | None
    ) -> dict[str, Any]:
        """The arguments of httpx's `request`. Raises `ReadOnly` for a command in the past."""
        if request.method != "GET" and self.as_of is not None:
            raise ReadOnly(
                f"{request.name} would change the past: call it on the original client, not on"
                " the one from `at`"
            )
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
        }

    def take(self, request: Request[T], response: httpx.Response) -> T:
        """The answer; a write's position is remembered."""
        self.notice.look_at(response.headers)
        answer = decode(request, response)
        if request.is_command:
            self.position = max(self.position, getattr(answer, "position", 0))
        return answer


class Transport:
    """Sends requests and waits for their answers. Safe to use from several threads."""

    def __init__(self, session: Session, http: httpx.Client | None = None) -> None:
        self.session = session
        self._http = http or httpx.Client(**session.options())

    def at(self, moment: str) -> Transport:
        """A transport over the same connections, with answers for a past moment."""
        return Transport(self.session.at(moment), self._http)

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def send(
        self,
        request: Request[T],
        *,
        key: str | None = None,
        if_match: int | None = None,
        cursor: str | None = None,
        body: Callable[[], Iterator[bytes]] | None = None,
    ) -> T:
        """The answer to a request; `body` makes the streamed body of each attempt.

        Raises `ApiError`, `Unreachable` and `NotStemma`.
        """
        prepared = self.session.prepared(request, key, if_match, cursor)
        tries = self.session.attempts(request)
        while True:
            if body is not None:
                prepared["content"] = body()
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = self._http.request(**prepared)
            except httpx.TransportError as error:
                outcome = error
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
            cursor = getattr(page, "next", None)
            if cursor is None:
                return

    @contextmanager
    def stream(self, request: Request[bytes], headers: dict[str, str]) -> Iterator[httpx.Response]:
        """An answer whose body is read piece by piece, at one attempt.

        Raises `httpx.TransportError`, also while it is read, `ApiError` and `NotStemma`.
        """
        prepared = self.session.prepared(request, None, None, None)
        prepared["headers"] |= headers
        with self._http.stream(**prepared) as response:
            if not response.is_success:
                response.read()
                raise attempts.problem_in(response)
            attempts.check_sender(response)
            yield response


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
    ) -> T:
        """The answer to a request. Raises `ApiError`, `Unreachable` and `NotStemma`."""
        prepared = self.session.prepared(request, key, if_match, cursor)
        tries = self.session.attempts(request)
        while True:
            outcome: httpx.Response | httpx.TransportError
            try:
                outcome = await self._http.request(**prepared)
            except httpx.TransportError as error:
                outcome = error
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
            cursor = getattr(page, "next", None)
            if cursor is None:
                return
