"""Loading what a process is made of: without looking for garbage in it, and no more than it uses.

Modules stay as long as their process. Python's collector looks through them again and again while
they are loaded, since each makes so many objects.
"""

import gc
import sys

COLLECTED_AFTER = 50_000
"""So many new objects, where Python itself has 700."""


def collect_rarely() -> None:
    """Garbage is counted by references; what refers to itself waits for more of its kind."""
    gc.set_threshold(COLLECTED_AFTER, *gc.get_threshold()[1:])


def without_web_sockets() -> None:
    """Let nats-py find no aiohttp, which it imports for WebSockets if another package needs it.

    That takes longer than all the rest of its import, and NATS is reached by TCP.
    """
    sys.modules["aiohttp"] = None  # type: ignore[assignment]
