"""Admission of connections: how many may be open, from one address and in all.

Above a limit, the connection is closed that has waited longest for its first request or, if all
had one, for the next. Clients that hold connections without asking for anything thus make room for
those that ask.
"""

import logging
import time
from typing import Protocol

from api.http.addresses import Proxies, network_of

LOG_SECONDS = 60.0
"""Closed connections are logged once in this time."""

log = logging.getLogger(__name__)


class Connection(Protocol):
    """An open connection, as far as it is counted."""

    def cut(self) -> None:
        """Close it at once, without an answer."""


class _Waiting:
    """Connections without a request in progress, the longest waiting first."""

    def __init__(self) -> None:
        self._for_first: dict[Connection, None] = {}
        self._for_next: dict[Connection, None] = {}

    def add(self, connection: Connection, *, is_new: bool) -> None:
        (self._for_first if is_new else self._for_next)[connection] = None

    def remove(self, connection: Connection) -> None:
        self._for_first.pop(connection, None)
        self._for_next.pop(connection, None)

    def first(self) -> Connection | None:
        """The one to close; None if there is none."""
        return next(iter(self._for_first or self._for_next), None)

    def __bool__(self) -> bool:
        return bool(self._for_first or self._for_next)


class Admission:
    """The open connections of a server, used by its event loop only.

    `per_address` limits those of one client address, or IPv6 network of 64 bits; addresses of
    trusted proxies have no limit of their own. `total` limits all. 0 stands for no limit.
    """

    def __init__(self, per_address: int, total: int, proxies: Proxies) -> None:
        self._per_address = per_address
        self._total = total
        self._proxies = proxies
        self._addresses: dict[Connection, str] = {}
        self._counts: dict[str, int] = {}
        self._waiting_at: dict[str, _Waiting] = {}
        self._waiting = _Waiting()
        self._log_after = 0.0

    def __len__(self) -> int:
        return len(self._addresses)

    def admit(self, connection: Connection, host: str) -> bool:
        """Count a new connection, which waits for a request; False if it must be closed.

        Another connection may be closed to make room for it.
        """
        address = "" if host in self._proxies else network_of(host)
        limited = bool(self._per_address and address)
        if limited and self._counts.get(address, 0) >= self._per_address:
            self._report(f"{self._per_address} connections from {address}", "STEMMA_CONNECTIONS")
            if not self._close_first(self._waiting_at.get(address)):
                return False
        if self._total and len(self._addresses) >= self._total:
            self._report(f"{self._total} connections", "the limit of open files")
            if not self._close_first(self._waiting):
                return False
        self._addresses[connection] = address
        self._counts[address] = self._counts.get(address, 0) + 1
        self._wait(connection, is_new=True)
        return True

    def waits(self, connection: Connection) -> None:
        """The request of the connection is over."""
        self._wait(connection, is_new=False)

    def _wait(self, connection: Connection, *, is_new: bool) -> None:
        address = self._addresses.get(connection)
        if address is not None:
            self._waiting.add(connection, is_new=is_new)
            self._waiting_at.setdefault(address, _Waiting()).add(connection, is_new=is_new)

    def works(self, connection: Connection) -> None:
        """The connection has a request in progress, and is not closed for others."""
        self._waiting.remove(connection)
        address = self._addresses.get(connection, "")
        if (waiting := self._waiting_at.get(address)) is not None:
            waiting.remove(connection)
            if not waiting:
                del self._waiting_at[address]

    def forget(self, connection: Connection) -> None:
        """The connection is closed. Repeated, it does nothing more."""
        if connection not in self._addresses:
            return
        self.works(connection)
        address = self._addresses.pop(connection)
        self._counts[address] -= 1
        if not self._counts[address]:
            del self._counts[address]

    def _close_first(self, waiting: _Waiting | None) -> bool:
        connection = waiting.first() if waiting else None
        if connection is None:
            return False
        # Its end is reported later; until then it would still count.
        self.forget(connection)
        connection.cut()
        return True

    def _report(self, what: str, limit: str) -> None:
        now = time.monotonic()
        if now >= self._log_after:
            self._log_after = now + LOG_SECONDS
            log.warning(
                "%s are open, as many as may be (%s): for each new one, that is closed which has"
                " waited longest for a request",
                what,
                limit,
            )
