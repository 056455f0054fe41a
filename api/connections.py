"""Connections of HTTP clients: one who reads nothing must not hold an answer in memory for ever."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

UNREAD_SECONDS = 30.0


class ImpatientProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which cuts a connection whose client has stopped to read.

    That is one for whom more waits than the transport holds gladly, 64 KiB, and who took nothing
    of it for `UNREAD_SECONDS`. While clients keep up it does nothing.
    """

    _look: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look_later()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._forget()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._forget()

    def _look_later(self) -> None:
        unread = self.transport.get_write_buffer_size()
        self._look = self.loop.call_later(UNREAD_SECONDS, self._cut_unless_read, unread)

    def _cut_unless_read(self, unread: int) -> None:
        if self.transport.get_write_buffer_size() < unread:
            self._look_later()
        else:
            self.transport.abort()

    def _forget(self) -> None:
        if self._look is not None:
            self._look.cancel()
            self._look = None
