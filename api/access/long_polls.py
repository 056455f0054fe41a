"""Long polls: an answer that is held back until what it is about has ended."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from api.access.limits import hold_open
from api.backend import Backend
from api.http.live import either
from api.http.parameters import HttpRequest
from projections.engine.read_model import ReadModel

Shown = TypeVar("Shown")

LOOK_AGAIN_SECONDS = 0.2
"""The least time between two looks: a training's events come faster than its end."""


async def once_ended(
    backend: Backend,
    request: HttpRequest,
    look: Callable[[], Awaitable[Shown]],
    ended: Callable[[Shown], bool],
    seconds: float,
    *read_models: ReadModel,
) -> Shown:
    """What `look` returns, as soon as that has ended, or after some seconds.

    It is counted as a long poll of the caller's from when it waits. Raises `TooMany`.
    """
    deadline = time.monotonic() + seconds
    held = False
    with backend.news.listening(*read_models) as changed:
        while True:
            changed.clear()
            shown = await look()
            left = deadline - time.monotonic()
            if left <= 0 or ended(shown):
                return shown
            if not held:
                hold_open(request)
                held = True
            await either(changed, seconds=left)
            await asyncio.sleep(min(left, LOOK_AGAIN_SECONDS))
