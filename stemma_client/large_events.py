"""The data of events that are larger than a message of NATS, read over HTTP."""

from __future__ import annotations

import asyncio

import httpx

from stemma_client.attempts import FIRST_PAUSE, LONGEST_PAUSE, PASSING, problem_in
from stemma_client.errors import ApiError, Refused
from stemma_client.proxies import uses_proxy
from stemma_client.received import Received, attributes_in, received


def api_client(url: str | None, key: str | None) -> httpx.AsyncClient:
    """A client of the API for `with_data`."""
    return httpx.AsyncClient(
        base_url=url or "",
        headers={"Authorization": f"Bearer {key}"} if key else {},
        trust_env=uses_proxy(url or ""),
    )


async def with_data(event: Received, client: httpx.AsyncClient) -> Received:
    """Fetch the data of an event that is larger than a message, from its `dataref`.

    It retries while the server cannot be reached. Raises `Refused`.
    """
    pause = FIRST_PAUSE
    while True:
        try:
            response = await client.get(event.attributes["dataref"])
        except httpx.TransportError:
            pass
        else:
            if response.is_success:
                break
            if response.status_code not in PASSING:
                problem = problem_in(response)
                detail = problem.detail if isinstance(problem, ApiError) else str(problem)
                raise Refused(detail, response.status_code)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
    attributes = attributes_in(response.headers)
    # Otherwise an older program published it, whose reference leads to a page of events.
    return received(attributes, response.content) if "sequence" in attributes else event
