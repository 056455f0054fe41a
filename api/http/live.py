"""Server-sent events about what changes: their messages, and the wait for the next one."""

import asyncio

import msgspec
from litestar.response import ServerSentEventMessage


async def either(*events: asyncio.Event, seconds: float | None) -> None:
    """Return once one of them is set, or after some seconds."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()


def message(event: str, content: object, position: int) -> ServerSentEventMessage:
    return ServerSentEventMessage(
        data=msgspec.json.encode(content).decode(), event=event, id=str(position)
    )
