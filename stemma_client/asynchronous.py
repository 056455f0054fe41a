"""The client for asyncio: requests, waits, metrics and events.

All else is a request of `stemma_client.operations`, which `send` sends.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import TypeVar

from stemma_client._generated import answers, operations
from stemma_client.errors import StemmaError, WaitTimeout
from stemma_client.metrics import Metrics, metrics_in, requests_for
from stemma_client.over_http import order_after, page_after, received_in
from stemma_client.received import Received
from stemma_client.requests import Request
from stemma_client.settings import find_server
from stemma_client.transport import AsyncTransport, Session
from stemma_client.versions import FAILED, FINISHED
from stemma_client.waiting import LOOK_SECONDS

T = TypeVar("T")


class AsyncStemma:
    """A client of a server; its arguments are those of `Stemma`."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = 60.0,
        patience: float = 120.0,
        correlation_id: str | None = None,
    ) -> None:
        session = Session(
            find_server(url, key),
            correlation_id=correlation_id or str(uuid.uuid4()),
            timeout=timeout,
            patience=patience,
        )
        self.transport = AsyncTransport(session)

    async def send(
        self, request: Request[T], *, key: str | None = None, if_match: int | None = None
    ) -> T:
        """The answer to a request; see `Stemma.send`."""
        return await self.transport.send(request, key=key, if_match=if_match)

    async def pages(self, request: Request[T]) -> AsyncIterator[T]:
        """Every page of a list."""
        async for page in self.transport.pages(request):
            yield page

    async def wait(self, version_id: str, timeout: float | None = None) -> answers.VersionRow:
        """A version once its training has ended.

        Raises `StemmaError` if it has no weights, and `WaitTimeout` after so many seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = LOOK_SECONDS if deadline is None else deadline - time.monotonic()
            seconds = max(0.0, min(LOOK_SECONDS, left))
            row = (await self.send(operations.get_version(version_id, wait=seconds))).version
            if row.status in FINISHED:
                return row
            if row.status in FAILED:
                raise StemmaError(f"version {row.name!r} is {row.status}: {row.reason}")
            if left <= 0:
                raise WaitTimeout(f"after {timeout:g} s {row.name!r} has not ended; it continues")

    async def metrics(self, version_ids: Sequence[str], *names: str) -> Metrics:
        """All values of the metrics of versions."""
        answers = [await self.send(each) for each in requests_for(version_ids, names)]
        return metrics_in(answers, {})

    async def events(
        self, *, after: int = 0, names: Sequence[str] = (), subjects: Sequence[str] = ()
    ) -> AsyncIterator[Received]:
        """All events after a position, each once and in order, also those to come."""
        order = order_after(after, names)
        while True:
            page = await self.send(page_after(after, names, subjects))
            for event in received_in(page):
                if order.takes(event):
                    yield event
            after = page.next

    async def close(self) -> None:
        """Close all connections."""
        await self.transport.close()

    async def __aenter__(self) -> AsyncStemma:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        await self.close()
