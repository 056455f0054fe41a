"""Following events over HTTP: pages after a position, and long polls where there is none yet."""

import asyncio
import time
from collections.abc import Iterator, Sequence

import httpx
import msgspec

from stemma_client.order import Order
from stemma_client.received import Received, attributes_in, received

PAGE = 500
WAIT_SECONDS = 20.0
RETRY_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 30.0

_PASSING = frozenset({429, 502, 503, 504})


class Refused(Exception):
    """The server does not answer this: the message says why, `status` is that of HTTP if it was."""

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
    """Every event after a position, and those to come; it ends only by an exception.

    `names` are events' names, or all of a kind, such as `version.*`; `subjects` are things, such
    as `version-…`. While the server cannot be reached it tries again. Raises `Refused` and `Gap`.
    """
    # A key that is for some projects does not see every position.
    order = Order(after, every_position=False, every_revision=not names)
    asked = {"name": list(names), "subject": list(subjects), "limit": PAGE, "wait": WAIT_SECONDS}
    with httpx.Client(base_url=url, headers=authorized(key), timeout=3 * WAIT_SECONDS) as client:
        while True:
            page = _page(client, asked | {"after": after})
            for item in page.items:
                data = item.pop("data")
                attributes = {name: msgspec.json.decode(value) for name, value in item.items()}
                one = received(attributes, bytes(data))
                if order.takes(one):
                    yield one
            after = page.next


def authorized(key: str | None) -> dict[str, str]:
    """The headers that show a key."""
    return {"Authorization": f"Bearer {key}"} if key else {}


async def with_data(one: Received, client: httpx.AsyncClient) -> Received:
    """An event that was larger than a message, with the data that its `dataref` leads to.

    While the server cannot be reached it tries again. Raises `Refused`.
    """
    pause = RETRY_SECONDS
    while True:
        try:
            response = await client.get(one.attributes["dataref"])
        except httpx.TransportError:
            response = None
        if response is not None and _is_answer(response):
            break
        await asyncio.sleep(_pause_told(response, pause))
        pause = min(2 * pause, LONGEST_RETRY_SECONDS)
    told = attributes_in(response.headers)
    # Else an older program published it, whose reference leads to a page of events.
    return received(told, response.content) if "sequence" in told else one


def _page(client: httpx.Client, asked: dict[str, object]) -> _Page:
    pause = RETRY_SECONDS
    while True:
        try:
            response = client.get("/api/v1/events", params=asked)  # type: ignore[arg-type]
        except httpx.TransportError:
            response = None
        if response is not None and _is_answer(response):
            return msgspec.json.decode(response.content, type=_Page)
        time.sleep(_pause_told(response, pause))
        pause = min(2 * pause, LONGEST_RETRY_SECONDS)


def _is_answer(response: httpx.Response) -> bool:
    """Whether it is, or else to be asked for again. Raises `Refused`."""
    if not response.is_success and response.status_code not in _PASSING:
        raise Refused(_reason(response), response.status_code)
    return response.is_success


def _pause_told(response: httpx.Response | None, otherwise: float) -> float:
    told = response.headers.get("Retry-After", "") if response is not None else ""
    return min(float(told), LONGEST_RETRY_SECONDS) if told.isdecimal() else otherwise


def _reason(response: httpx.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, LookupError, TypeError):
        return f"the server answered {response.status_code}"
