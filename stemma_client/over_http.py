"""Following events over HTTP: pages after a position, and long polling at the end of the log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence

import httpx
import msgspec

from stemma_client.order import Order
from stemma_client.proxies import uses_proxy
from stemma_client.received import Received, attributes_in, received

PAGE = 500
WAIT_SECONDS = 20.0
RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 30.0

_TEMPORARY = frozenset({429, 502, 503, 504})


class Refused(Exception):
    """The server rejects the request: the message says why; `status` is the HTTP status, if any."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class _Page(msgspec.Struct, frozen=True):
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
    `version-…`. It retries while the server cannot be reached. Raises `Refused` and `Gap`.
    """
    # A key that is limited to projects does not see every position.
    order = Order(after, every_position=False, every_revision=not names)
    parameters = {
        "name": list(names),
        "subject": list(subjects),
        "limit": PAGE,
        "wait": WAIT_SECONDS,
    }
    with httpx.Client(
        base_url=url,
        headers=authorized(key),
        timeout=3 * WAIT_SECONDS,
        trust_env=uses_proxy(url),
    ) as client:
        while True:
            page = _page(client, parameters | {"after": after})
            for item in page.items:
                data = item.pop("data")
                attributes = {name: msgspec.json.decode(value) for name, value in item.items()}
                event = received(attributes, bytes(data))
                if order.takes(event):
                    yield event
            after = page.next


def authorized(key: str | None) -> dict[str, str]:
    """The headers for a key."""
    return {"Authorization": f"Bearer {key}"} if key else {}


async def with_data(event: Received, client: httpx.AsyncClient) -> Received:
    """An event that is larger than a message, with the data that its `dataref` refers to.

    It retries while the server cannot be reached. Raises `Refused`.
    """
    pause = RETRY_SECONDS
    while True:
        try:
            response = await client.get(event.attributes["dataref"])
        except httpx.TransportError:
            response = None
        if response is not None and _is_answer(response):
            break
        await asyncio.sleep(_retry_after(response, pause))
        pause = min(2 * pause, LONGEST_RETRY_SECONDS)
    attributes = attributes_in(response.headers)
    # Otherwise an older program published it, whose reference leads to a page of events.
    return received(attributes, response.content) if "sequence" in attributes else event


def _page(client: httpx.Client, parameters: dict[str, object]) -> _Page:
    pause = RETRY_SECONDS
    while True:
        try:
            response = client.get("/api/v1/events", params=parameters)  # type: ignore[arg-type]
        except httpx.TransportError:
            response = None
        if response is not None and _is_answer(response):
            return msgspec.json.decode(response.content, type=_Page)
        time.sleep(_retry_after(response, pause))
        pause = min(2 * pause, LONGEST_RETRY_SECONDS)


def _is_answer(response: httpx.Response) -> bool:
    """Whether the request succeeded; if not, it is to be retried. Raises `Refused`."""
    if not response.is_success and response.status_code not in _TEMPORARY:
        raise Refused(_reason(response), response.status_code)
    return response.is_success


def _retry_after(response: httpx.Response | None, otherwise: float) -> float:
    seconds = response.headers.get("Retry-After", "") if response is not None else ""
    return min(float(seconds), LONGEST_RETRY_SECONDS) if seconds.isdecimal() else otherwise


def _reason(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, LookupError, TypeError):
        return f"the server answered {response.status_code}"
