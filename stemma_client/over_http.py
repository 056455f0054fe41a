"""Following events over HTTP: pages after a position, and long polling at the end of the log."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator, Sequence

import msgspec

from stemma_client._generated import operations
from stemma_client.order import Order
from stemma_client.received import Received, received
from stemma_client.requests import Request
from stemma_client.settings import Server
from stemma_client.transport import Session, Transport

PAGE = 500
WAIT_SECONDS = 20.0
TIMEOUT_SECONDS = 3 * WAIT_SECONDS


class Page(msgspec.Struct, frozen=True):
    """A page of CloudEvents, whose attributes and data are not decoded yet."""

    items: list[dict[str, msgspec.Raw]]
    next: int


def follow_http(
    url: str,
    *,
    after: int = 0,
    names: Sequence[str] = (),
    subjects: Sequence[str] = (),
    key: str | None = None,
) -> Iterator[Received]:
    """All events after a position, including future ones; it ends only with an exception.

    `names` are names of events, or all of a kind, such as `version.*`. `subjects` are, for example,
    `version-…`. It retries while the server cannot be reached. Raises `ApiError`, `NotStemma` and
    `Gap`.
    """
    session = Session(
        Server(url, key or ""),
        correlation_id=str(uuid.uuid4()),
        timeout=TIMEOUT_SECONDS,
        patience=math.inf,
    )
    transport = Transport(session)
    try:
        yield from follow(transport, after, names, subjects)
    finally:
        transport.close()


def follow(
    transport: Transport, after: int, names: Sequence[str], subjects: Sequence[str]
) -> Iterator[Received]:
    """The same over connections that are there."""
    order = order_after(after, names)
    while True:
        page = transport.send(page_after(after, names, subjects))
        yield from (event for event in received_in(page) if order.takes(event))
        after = page.next


def order_after(after: int, names: Sequence[str]) -> Order:
    """The order that is checked: a key that is limited to projects does not see all positions."""
    return Order(after, every_position=False, every_revision=not names)


def page_after(after: int, names: Sequence[str], subjects: Sequence[str]) -> Request[Page]:
    """The request of the next page, which waits for an event at the end of the log."""
    request = operations.list_events(
        after=after, name=list(names), subject=list(subjects), limit=PAGE, wait=WAIT_SECONDS
    )
    return Request(
        name=request.name,
        method=request.method,
        path=request.path,
        query=request.query,
        answer=Page,
    )


def received_in(page: Page) -> Iterator[Received]:
    """The events of a page."""
    for item in page.items:
        data = item.pop("data")
        attributes = {name: msgspec.json.decode(value) for name, value in item.items()}
        yield received(attributes, bytes(data))
